#!/usr/bin/env bash
# Builds the documentation as a site, with search, in target/book: from docs/, README.md, CONTRIBUTING.md and CHANGELOG.md as they
# are, and from the help of the program, which has every verb. Writes nothing beside the sources.
#
#   docs/build.sh [--binary FILE] [--out DIR] [--pages DIR]
#
# Without --binary the program is built. --pages writes only what mdbook reads. mdbook is the one of the PATH if it has the version
# below; otherwise it is built once into target/tools, which takes minutes.
# shellcheck disable=SC2016 # what is code in Markdown is none here
set -euo pipefail
mdbook_version=0.5.4
cd "$(dirname "$0")/.."
binary='' out=$PWD/target/book book=''
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(realpath "$2") ;;
    --out) out=$(realpath -m "$2") ;;
    --pages) book=$(realpath -m "$2") ;;
    *) sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
# mdbook empties the directory first.
if [ "$out" != "$PWD/target/book" ] && [ -e "$out" ]; then
    echo "$out exists; name a directory that does not" >&2
    exit 2
fi
only_pages=$book
book=${book:-$PWD/target/book-pages}
pages=$book/pages
if [ -z "$binary" ]; then
    cargo build --locked >&2
    binary=${CARGO_TARGET_DIR:-target}/debug/tenure
fi

# The links of a page of docs/ and of one beside it: to pages of the book, and to files of the repository, of which it has copies. To
# mdbook a README is the index, but not in links.
of_docs() {
    sed -e 's#](\.\./README\.md#](tour.md#g' -e 's#](\.\./CONTRIBUTING\.md#](contributing.md#g' -e 's#](\.\./CHANGELOG\.md#](changes.md#g' \
        -e 's#](\.\./#](files/#g' -e 's#](README\.md#](index.md#g' "$1"
}
of_root() {
    sed -e 's#](\([A-Za-z.][^):]*\))#](../\1)#g' -e 's#](\.\./docs/#](#g' "$1" | of_docs -
}

pages_of_docs() {
    for page in docs/*.md; do of_docs "$page" > "$pages/${page#docs/}"; done
    mv "$pages/README.md" "$pages/index.md"
    of_root README.md > "$pages/tour.md"
    of_root CONTRIBUTING.md > "$pages/contributing.md"
    of_root CHANGELOG.md > "$pages/changes.md"
    cp -R docs/performance docs/recording.cast "$pages"
    { grep -oh '](files/[^)#]*' "$pages"/*.md || true; } | sed 's#](files/##' | sort -u | while read -r file; do
        mkdir -p "$pages/files/$(dirname "$file")"
        cp "$file" "$pages/files/$file"
    done
    cp docs/book.toml docs/book.css "$book"
}

help_of() { COLUMNS=80 "$binary" help "$@"; }

# The verbs below a verb.
verbs_of() {
    "$binary" "$1" -h | awk '/^Verbs:$/ { listed = 1; next } /^[^ ]/ { listed = 0 } listed && /^  [a-z]/ { print $1 }'
}

section() { # MARK VERB...
    local mark=$1
    shift
    # Four marks: the help may show three.
    printf '%s tenure %s\n\n````text\n%s\n````\n\n' "$mark" "$*" "$(help_of "$@")"
}

# A page for each verb with those below it, and a list of all as the program groups them.
commands() {
    local list=$pages/commands/index.md summary=$book/summary verb about line
    mkdir -p "$pages/commands"
    printf '# Commands\n\nThe help of every verb, as `tenure help VERB` prints it. `tenure man VERB` has the same as a manual page.\n' > "$list"
    printf -- '- [Commands](commands/index.md)\n' > "$summary"
    while IFS= read -r line; do
        case $line in
        '  '[a-z]*)
            read -r verb about <<< "$line"
            printf '| [`tenure %s`](%s.md) | %s |\n' "$verb" "$verb" "${about//|/\\|}" >> "$list"
            printf '  - [%s](commands/%s.md)\n' "$verb" "$verb" >> "$summary"
            {
                section '#' "$verb"
                for below in $(verbs_of "$verb"); do section '##' "$verb" "$below"; done
            } > "$pages/commands/$verb.md"
            ;;
        Options:) break ;;
        [A-Z]*:) printf '\n## %s\n\n| command | what it does |\n| --- | --- |\n' "${line%:}" >> "$list" ;;
        esac
    done < <(help_of)
    sed -i -e "/^<!-- docs\/build.sh adds/{r $summary" -e 'd}' "$pages/SUMMARY.md"
    rm "$summary"
}

if [ -n "$only_pages" ]; then
    [ ! -e "$book" ] || { echo "$book exists" >&2; exit 1; }
else
    rm -rf "$book"
fi
mkdir -p "$pages"
pages_of_docs
commands
[ -z "$only_pages" ] || exit 0

is_right() { [ "$("$1" --version 2> /dev/null)" = "mdbook v$mdbook_version" ]; }
tool=mdbook
is_right "$tool" || tool=$PWD/target/tools/bin/mdbook
is_right "$tool" ||
    cargo install mdbook --locked --version "$mdbook_version" --no-default-features --features search --root target/tools >&2
"$tool" build "$book" --dest-dir "$out" >&2
echo "$out/index.html"
