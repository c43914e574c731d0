#!/usr/bin/env bash
# Calls each tool of `tenure mcp` with the official inspector of the protocol, as a client that was written by others: it checks each
# message against the schemas of the protocol. Needs node, jq, and the inspector, which `install` gets from npm (160 MB).
#
#   packaging/mcp/inspect.sh install
#   packaging/mcp/inspect.sh
#
# TENURE: the binary (default: target/debug/tenure). Exit 0: every line says ok. Exit 77: not tested.
# shellcheck disable=SC2317 # clean is called by its name
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# Version 1, which gets security fixes alone: version 2 needs Node 22.19.
package=@modelcontextprotocol/inspector@1.0.3
prefix=$root/target/inspector
inspector=$prefix/node_modules/.bin/mcp-inspector
if [ "${1-}" = install ]; then
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$prefix" "$package"
    exit
fi
for tool in node jq "$inspector"; do
    command -v "$tool" >/dev/null || { echo "NOT TESTED: this needs $tool (packaging/mcp/inspect.sh install)" >&2; exit 77; }
done
tenure=$(realpath "${TENURE:-$root/target/debug/tenure}")
dir=$(mktemp -d)
worker=
clean() {
    if [ -n "$worker" ]; then
        kill "$worker"
        wait "$worker" || true
    fi
    rm -rf "$dir"
}
trap clean EXIT
export HOME=$dir XDG_CONFIG_HOME=$dir TENURE_DB=$dir/q.db
cd "$dir"
wrong=0
check() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then echo "ok     $1: $3"; else
        echo "WRONG  $1: expected '$2', is '$3'"
        wrong=1
    fi
}
inspect() { "$inspector" --cli "$tenure" mcp "$@" 2>>inspector.log; } # ARGS...
call() { # TOOL KEY=VALUE...
    local args=() tool=$1
    for pair in "${@:2}"; do args+=(--tool-arg "$pair"); done
    inspect --method tools/call --tool-name "$tool" "${args[@]}"
}
of() { jq -r ".structuredContent | $1"; } # EXPRESSION

"$tenure" work --slots 1 </dev/null >worker.log 2>&1 &
worker=$!
check 'the tools' 'add list show wait logs why cancel' "$(inspect --method tools/list | jq -r '[.tools[].name] | join(" ")')"
check 'the schemas are objects' true "$(inspect --method tools/list | jq '[.tools[].inputSchema.type == "object"] | all')"
add=(add 'shell=echo hello' "cwd=$dir" request=one 'env={"A":"b"}' 'label=greeting')
check 'add' 1 "$(call "${add[@]}" | of .id)"
check 'add again with the same request' 1 "$(call "${add[@]}" | of .id)"
check 'wait' 'done' "$(call wait id=1 seconds=20 | of .state)"
check 'logs' hello "$(call logs id=1 | of .text)"
check 'the text of logs' hello "$(call logs id=1 | jq -r '.content[0].text')"
check 'list' 1 "$(call list state='["done"]' limit=5 | of '.jobs | length')"
check 'show' '{"A":"b"}' "$(call show id=1 | of '.env | tojson')"
check 'add, held' 2 "$(call add 'command=["true"]' hold=true | of .id)"
check 'why' user "$(call why id=2 | of '.obstacles[0].code')"
check 'cancel' ended "$(call cancel id=2 | of .cancelled)"
check 'what is refused' refused "$(call add 'command=["true"]' timeout=2h | of .error.code)"
check 'what cannot be meant' usage "$(call show id=0 | of .error.code)"
exit $wrong
