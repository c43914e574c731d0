#!/bin/sh
# Builds the Debian package of tenure, and prints its path. Needs cargo, dpkg-deb, objdump and gzip.
#
#   packaging/deb/build.sh [--binary FILE] [--version V] [--out DIR] [--compress xz|gzip|none]
#
# Without --binary the release binary is built. The same binary and the same sources give the same package, byte for byte: the time of all
# files is SOURCE_DATE_EPOCH, by default that of the last commit.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
cd "$source"
binary='' out=$source/target/deb compress=xz
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(realpath "$2") ;;
    --version) version=$2 ;;
    --out) out=$2 ;;
    --compress) compress=$2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
if [ -z "$binary" ]; then
    cargo build --release --locked >&2
    binary=${CARGO_TARGET_DIR:-target}/release/tenure
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH
architecture=$(dpkg --print-architecture)
umask 022
mkdir -p "$out"
tree=$(mktemp -d "$out/.tree-XXXXXX")
chmod 755 "$tree"
trap 'rm -rf "$tree"' EXIT

put() { # MODE FROM TO: TO is below the tree
    install -D -m "$1" "$2" "$tree/$3"
}

write() { # TO: standard input
    mkdir -p "$tree/$(dirname "$1")"
    cat > "$tree/$1"
    chmod 644 "$tree/$1"
}

# What the program needs of other packages: what it is linked with, and the newest symbols of each that it names.
depends() {
    objdump -p "$binary" | awk '
        $1 == "NEEDED" && $2 !~ /^(libc|libm|libgcc_s|ld-linux[-a-z0-9_]*)\.so\.[0-9]+$/ { print "no package is known for " $2 > "/dev/stderr"; exit 1 }
        $4 ~ /^GLIBC_[0-9.]+$/ {
            split(substr($4, 7), v, ".")
            if (v[1] * 1000 + v[2] > newest) { newest = v[1] * 1000 + v[2]; libc = v[1] "." v[2] }
        }
        $1 == "NEEDED" && $2 ~ /^libgcc_s/ { libgcc = ", libgcc-s1" }
        END { print "libc6 (>= " libc ")" libgcc }'
}

program() {
    put 755 "$binary" usr/bin/tenure
    # With its debug information a program of the profile dev is ten times as large.
    strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree/usr/bin/tenure"
    "$binary" completions bash | write usr/share/bash-completion/completions/tenure
    "$binary" completions zsh | write usr/share/zsh/vendor-completions/_tenure
    "$binary" completions fish | write usr/share/fish/vendor_completions.d/tenure.fish
    "$binary" man --dir "$tree/usr/share/man/man1" 2>/dev/null
    find "$tree/usr/share/man/man1" -type f -exec gzip -9n {} +
    chmod 644 "$tree"/usr/share/man/man1/*
}

services() {
    for unit in tenure.service tenure@.service tenure-web.service tenure-web@.service user/tenure.service user/tenure-web.service; do
        to=usr/lib/systemd/system/$unit
        case $unit in user/*) to=usr/lib/systemd/$unit ;; esac
        sed 's|/usr/local/bin/|/usr/bin/|; /^# ~/d' "packaging/$unit" | write "$to"
    done
    put 644 packaging/hardening.conf usr/lib/systemd/system/tenure@_tenure.service.d/hardening.conf
    put 644 packaging/sysusers.conf usr/lib/sysusers.d/tenure.conf
    put 644 packaging/tmpfiles.conf usr/lib/tmpfiles.d/tenure.conf
    put 644 packaging/deb/config.toml etc/tenure/config.toml
}

# The licences of the packages that are linked into the program. Of two that may be chosen, MIT.
third_party() {
    cargo metadata --locked --format-version 1 | grep -o '"manifest_path":"[^"]*/registry/[^"]*"' |
        sed 's/.*:"\(.*\)\/Cargo.toml"/\1/' | sort -u > "$tree/.sources"
    cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p} {l}' | grep -v '^tenure ' | sed 's/ (\*)$//' | sort -u |
        while read -r name number licence; do
            directory=$(grep "/$name-${number#v}\$" "$tree/.sources") || { echo "no sources of $name $number" >&2; exit 1; }
            printf '%s\n%s %s: %s\n\n' "========" "$name" "$number" "$licence"
            set -- "$directory"/LICENSE-MIT*
            [ -e "$1" ] || set -- "$directory"/LICEN[SC]E*
            [ -e "$1" ] || set -- "$directory"/COPYING*
            [ -e "$1" ] && cat "$@"
            echo
        done > "$tree/.third-party"
    rm "$tree/.sources"
    gzip -9n < "$tree/.third-party" | write usr/share/doc/tenure/third-party.gz
    rm "$tree/.third-party"
}

documents() {
    doc=usr/share/doc/tenure
    # The pages link to these.
    for page in README.md schema.sql docs/*.md docs/performance/* docs/recording.cast packaging/*.service packaging/*.conf packaging/user/* \
        packaging/Dockerfile packaging/alerts.yml packaging/grafana.json; do
        # The chapters of the site, of which two are not here.
        [ "$page" = docs/SUMMARY.md ] || put 644 "$page" "$doc/$page"
    done
    put 644 packaging/deb/copyright "$doc/copyright"
    put 644 packaging/deb/lintian-overrides usr/share/lintian/overrides/tenure
    gzip -9n < CHANGELOG.md | write "$doc/changelog.gz"
    printf 'tenure (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' "$version" "$maintainer" \
        "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n | write "$doc/changelog.Debian.gz"
    third_party
}

maintainer='The tenure maintainers <maintainers@tenure.invalid>'
control() {
    cat <<END
Package: tenure
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $1
Depends: $2
Suggests: sqlite3
Section: admin
Priority: optional
Description: crash-proof job queue for one machine
 tenure queues commands, runs them as subprocesses, and always knows who owns
 what: one program, one SQLite file. A job that was accepted is not lost, runs
 once, leaves no process, and continues when the worker is killed, restarted
 or upgraded; the next worker adopts it with its exit status and output.
 .
 Installing the package starts nothing. docs/install.md names the services.
END
}

program
services
documents
needs=$(depends)
put 644 /dev/null DEBIAN/conffiles
echo /etc/tenure/config.toml > "$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do put 755 "packaging/deb/$script" "DEBIAN/$script"; done
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum) | write DEBIAN/md5sums
# As dpkg counts: each file in whole KiB, and one for each directory. The disk of the builder plays no part.
size=$(find "$tree" -path "$tree/DEBIAN" -prune -o -printf '%y %s\n' | awk '{ sum += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print sum }')
control "$size" "$needs" | write DEBIAN/control
deb=$out/tenure_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z$compress" --build "$tree" "$deb" >&2
echo "$deb"
