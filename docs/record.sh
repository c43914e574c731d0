#!/usr/bin/env bash
# Records what becomes of a job whose worker is killed: runs the commands of `session` in a terminal of 80 columns, on a file of its
# own, and writes docs/recording.cast (asciicast v2) and, as text, the block of docs/README.md.
#
#   docs/record.sh [--binary FILE] [--out FILE] [--pace SECONDS]
#
# Without --binary the program is built. --out writes the recording alone, there. A reader has so many whole seconds for each command.
set -euo pipefail
export LC_ALL=C.UTF-8
self=$(realpath "$0")

# The job ended before it could be adopted: all is done again, with a job that takes longer.
readonly too_slow=75
readonly attempts=3

# Types a command and runs it.
run() {
    sleep "$pace"
    printf '\e[1m$ %s\e[0m\n' "$1"
    eval "$1"
}

until_said() { # PATTERN TENURE-ARGS...: waits for what a reader would wait for
    for ((n = 0; n < 1200; n++)); do
        tenure "${@:2}" 2> /dev/null | grep "$1" > /dev/null && return
        sleep 0.05
    done
    echo "waited without success for $1" >&2
    exit 1
}

session() {
    stty cols 80 rows 24
    trap '{ kill -9 $!; wait $!; tenure work --end-runs; } &> /dev/null || true' EXIT
    run 'cat import.sh'
    run 'tenure work --quiet &'
    until_said '^worker *pid' status
    run 'tenure add --label import -- sh import.sh'
    run 'tenure add --label report --after 1 -c "wc -l < parts"'
    until_said '"running"\|"done"' show 1 --json
    run 'tenure ls'
    run 'kill -9 $!                        # the worker is killed'
    wait $! 2> /dev/null || true
    run 'tenure status | grep -E "^(worker|jobs|reaper)"'
    run 'tenure why 2'
    run 'tenure work --quiet &             # the next worker'
    until_said 'adopted_total\| [12] done' status
    until_said ', 1 of\| [12] done' status
    tenure status | grep ', 1 of' > /dev/null || exit "$too_slow"
    run 'tenure status | grep -E "^(worker|jobs|reaper)"'
    run 'tenure logs -f 1'
    until_said '"done"' show 2 --json
    run 'tenure logs 2                     # each part ran once'
    run 'tenure history 1                  # one claim, one end'
    run 'tenure ls -a'
    sleep "$pace"
    trap - EXIT
    kill $!
    wait $! || true
}

# Prints the lines of the session as events with their times.
play() {
    local begun=${EPOCHREALTIME/./} at line
    echo '{"version": 2, "width": 80, "height": 24, "title": "tenure: a worker is killed", "env": {"TERM": "xterm-256color"}}'
    (cd "$place" && env -i PATH="$place/bin:$PATH" HOME="$place" TENURE_DB="$place/jobs.db" TENURE_CONFIG="$place/none.toml" \
        TERM=xterm-256color LANG=C.UTF-8 TZ=UTC pace="$pace" script -qec "bash '$self' --session" /dev/null < /dev/null) |
        while IFS= read -r line; do
            at=$((${EPOCHREALTIME/./} - begun))
            line=${line//\\/\\\\} line=${line//\"/\\\"} line=${line//$'\e'/\\u001b} line=${line//$'\r'/\\r}
            printf '[%d.%06d, "o", "%s\\n"]\n' $((at / 1000000)) $((at % 1000000)) "$line"
        done
}

record() { # TO
    local attempt seconds=$((pace + 2)) code
    for ((attempt = 0; attempt < attempts; attempt++)); do
        place=$(mktemp -d)
        mkdir "$place/bin"
        : > "$place/none.toml"
        ln -s "$binary" "$place/bin/tenure"
        # shellcheck disable=SC2016 # the job expands it
        printf 'for part in 1 2 3 4 5 6; do\n  echo "part $part" | tee -a parts\n  sleep %s\ndone\n' "$seconds" > "$place/import.sh"
        code=0
        play > "$1" || code=$?
        rm -rf "$place"
        [ "$code" = "$too_slow" ] || return "$code"
        seconds=$((seconds * 4))
    done
    return "$code"
}

# The recording as text, without colours.
text() {
    sed -n 's/^\[[0-9.]*, "o", "\(.*\)\\n"\]$/\1/p' "$1" | sed -e 's/\\r//g' -e 's/\\u001b\[[0-9;]*[A-Za-z]//g' -e 's/\\\(["\\]\)/\1/g'
}

if [ "${1-}" = --session ]; then
    session
    exit
fi
cd "$(dirname "$0")/.."
binary='' out='' pace=3
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(realpath "$2") ;;
    --out) out=$(realpath -m "$2") ;;
    --pace) pace=$2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
if [ -z "$binary" ]; then
    cargo build --locked >&2
    binary=$(realpath "${CARGO_TARGET_DIR:-target}/debug/tenure")
fi
if [ -n "$out" ]; then
    record "$out"
    exit
fi
record docs/recording.cast
block=$(mktemp)
{
    echo '```console'
    text docs/recording.cast
    echo '```'
} > "$block"
sed -i -e "/^<!-- docs\/record.sh: begin -->$/r $block" \
    -e '/^<!-- docs\/record.sh: begin -->$/,/^<!-- docs\/record.sh: end -->$/{//!d}' docs/README.md
rm "$block"
