#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian package, with jobs that run. Not part of CI: it needs root and minutes, and installs
# debootstrap and systemd-container.
#
#   packaging/deb/test.sh chroot     a clean root without systemd: first job, upgrade, adoption, removal, purge
#   packaging/deb/test.sh systemd    the same where systemd is process 1 (systemd-nspawn): all services, a poweroff and a boot
#
# TENURE: the binary (default: target/debug/tenure). SUITE: the release of Debian (default: trixie). CLEAN_ROOT: a root of debootstrap that is
# copied instead of a new one. Everything is made in a temporary directory and removed. Exit 0: every line says ok.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in chroot | systemd) ;; *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
[ "$(id -u)" = 0 ] || { echo 'NOT TESTED: this needs root' >&2; exit 77; }
# Mounts of the test are in a namespace of its own, and end with it.
[ -n "${TENURE_TEST_UNSHARED:-}" ] || TENURE_TEST_UNSHARED=1 exec unshare --mount "$0" "$@"
dir=$(mktemp -d /var/tmp/tenure-deb-XXXXXX)
root=$dir/root
clean() {
    for process in /proc/[0-9]*; do
        if [ "$process/root" -ef "$root" ]; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
    done
    for g in /sys/fs/cgroup/*/"tenure-deb-$$" "/sys/fs/cgroup/tenure-deb-$$"; do
        [ -d "$g" ] || continue
        { [ -e "$g/cgroup.kill" ] && echo 1 > "$g/cgroup.kill"; } 2>/dev/null || true
        for _ in 1 2 3 4 5; do find "$g" -depth -type d -exec rmdir {} + 2>/dev/null && break; sleep 0.2; done
    done
    for mount in proc dev; do if mountpoint -q "$root/$mount"; then umount -l "$root/$mount"; fi; done
    rm -rf --one-file-system "$dir"
}
trap clean EXIT

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null && return
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null ||
        { echo "NOT TESTED: this needs $1, and the package $2 cannot be installed" >&2; exit 77; }
}

# The same binary as two versions, each built twice.
packages() {
    local binary=${TENURE:-$here/../../target/debug/tenure} n
    for n in 1 2; do
        "$here/build.sh" --binary "$binary" --version "0.1.0-$n" --out "$dir" --compress none >/dev/null 2>&1
        "$here/build.sh" --binary "$binary" --version "0.1.0-$n" --out "$dir/again" --compress none >/dev/null 2>&1
        cmp "$dir"/tenure_0.1.0-${n}_*.deb "$dir"/again/tenure_0.1.0-${n}_*.deb && echo "ok     version 0.1.0-$n is built twice, byte for byte"
        cp "$dir"/tenure_0.1.0-${n}_*.deb "$root/root/$n.deb"
    done
}

bootstrap() { # PACKAGES
    need debootstrap debootstrap
    if [ -n "${CLEAN_ROOT:-}" ]; then cp -a "$CLEAN_ROOT" "$root"; else
        debootstrap --variant=minbase ${1:+--include="$1"} "${SUITE:-trixie}" "$root" > "$dir/debootstrap.log" ||
            { echo 'NOT TESTED: debootstrap cannot make a root:' >&2; tail -n 3 "$dir/debootstrap.log" >&2; exit 77; }
    fi
    install -m 755 "$here/guest" "$root/root/guest"
    packages
}

without_systemd() {
    bootstrap ''
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 bash /root/guest without_systemd
}

with_systemd() {
    need systemd-nspawn systemd-container
    bootstrap systemd,systemd-sysv,dbus,libpam-systemd,dbus-user-session,procps,udev
    cat > "$root/etc/systemd/system/guest.service" <<'U'
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/bash /root/guest with_systemd
ExecStopPost=/bin/systemctl poweroff
StandardOutput=append:/root/said
StandardError=append:/root/said
Environment=HOME=/root
[Install]
WantedBy=multi-user.target
U
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf ../guest.service "$root/etc/systemd/system/multi-user.target.wants/"
    local groups=() mount g
    # A machine without systemd has no unit that could be kept: a group in each hierarchy that nspawn uses.
    for mount in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
        if [ -e "$mount/cgroup.procs" ] && mkdir "$mount/tenure-deb-$$" 2>/dev/null; then groups+=("$mount/tenure-deb-$$"); fi
    done
    for _ in 1 2; do
        (
            for g in "${groups[@]}"; do echo $BASHPID > "$g/cgroup.procs"; done
            export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
            exec timeout 270 systemd-nspawn --quiet --directory="$root" --boot --keep-unit --register=no --private-network --console=pipe < /dev/null
        ) > "$dir/console" 2>&1 || tail -n 3 "$dir/console"
    done
    cat "$root/root/said"
}

case $1 in
chroot) without_systemd ;;
systemd) with_systemd ;;
esac | tee "$dir/said"
grep -q '^end$' "$dir/said" && ! grep -q '^WRONG' "$dir/said"
