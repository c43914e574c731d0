#!/usr/bin/env bash
# Fires each alert of packaging/alerts.yml for real: a Prometheus scrapes a queue for each alert, the queue gets that trouble, and exactly
# that alert fires. Before the troubles none fires, and on a queue without trouble none ever. Not part of CI: it needs root (a small file
# system, process namespaces), `prometheus`, `promtool`, `curl`, `jq` and `sqlite3`, and takes two minutes.
#
#   packaging/monitoring/test.sh
#
# TENURE: the binary (default: target/debug/tenure). Prometheus reads a copy of the rules in which times are shorter, because there only
# waiting would be tested: `for:` is 0 s (12 s for a missing worker: one is restarted), windows are 30 s, a job waits too long after
# 5 s, and a worker hangs after 20 s. The real times and all thresholds are tested by packaging/monitoring/rules.yml. All other thresholds
# are those of the rules. Exit 0: every line says ok.
# shellcheck disable=SC2317 # the functions of troubles are called by their names
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rules=$here/../alerts.yml
[ "$(id -u)" = 0 ] || { echo 'NOT TESTED: this needs root' >&2; exit 77; }
for tool in prometheus promtool curl jq sqlite3 mkfs.ext4; do
    command -v "$tool" >/dev/null || { echo "NOT TESTED: this needs $tool (apt-get install prometheus curl jq sqlite3 e2fsprogs)" >&2; exit 77; }
done
# All processes and mounts of the test are in namespaces of its own, and end with it.
if [ -z "${TENURE_TEST_UNSHARED:-}" ]; then
    export TENURE_TEST_UNSHARED=1
    exec unshare --mount --pid --fork --mount-proc --kill-child "$0" "$@"
fi
tenure=$(realpath "${TENURE:-$here/../../target/debug/tenure}")
unset TENURE_DB TENURE_CONFIG
dir=$(mktemp -d /var/tmp/tenure-monitoring-XXXXXX)
clean() {
    exec 2>/dev/null
    # All processes of this namespace but this one, which is its first.
    if [ $$ = 1 ]; then kill -KILL -1 2>/dev/null || true; fi
    if mountpoint -q "$dir/disk"; then umount -l "$dir/disk"; fi
    rm -rf --one-file-system "$dir"
}
trap clean EXIT
export HOME=$dir XDG_CONFIG_HOME=$dir
wrong=0
check() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then echo "ok     $1${3:+: $3}"; else
        echo "WRONG  $1: expected '$2', is '$3'"
        wrong=1
    fi
}
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "WRONG  waited $1 s without success for: ${*:2}"; wrong=1; return; }
        sleep 0.3
    done
}

# --- Queues: each has a name, a directory, a worker, a web server, and a scrape configuration.

declare -A worker web place limit=([TenureDescriptorsLow]=50)
t() { "$tenure" --db "${place[$1]}/$1.db" "${@:2}"; } # NAME ARGS
work() { # NAME
    prlimit --nofile="${limit[$1]:-1024}" "$tenure" --db "${place[$1]}/$1.db" work --slots 2 </dev/null >>"$dir/$1.log" 2>&1 &
    worker[$1]=$!
    until_true 20 t "$1" status --need-worker
}
serve() { # NAME
    "$tenure" --db "${place[$1]}/$1.db" web 127.0.0.1:0 --json </dev/null >"$dir/$1.address" 2>>"$dir/$1.log" &
    web[$1]=$!
    until_true 20 grep -q address "$dir/$1.address"
    cat >>"$dir/prometheus.yml" <<END
  - job_name: $1
    authorization: {credentials_file: $(t "$1" config db).d/web.token}
    static_configs:
      - targets: ["$(jq -r .address "$dir/$1.address" | sed 's|http://||')"]
        labels: {job: tenure, instance: $1}
END
}
queue() { # NAME [DIRECTORY]
    place[$1]=${2:-$dir}
    t "$1" add -q first -- true >/dev/null
}
job() { jq -r "$3" <<<"$(t "$1" show "$2" --json)"; } # NAME ID FILTER

# --- Prometheus.

shorter() {
    sed -e 's/^\( *for:\).*/\1 0s/' -e '/alert: TenureNoWorker/,/for:/s/for: 0s/for: 12s/' -e 's/\[15m\]/[30s]/; s/\[1h\]/[30s]/' \
        -e 's/offset 15m/offset 30s/g; s/offset 1h/offset 30s/g' -e 's/ready_seconds > 3600/ready_seconds > 5/' \
        -e 's/claims_ago_seconds > 60/claims_ago_seconds > 20/g' "$rules" >"$dir/alerts.yml"
}
ask() { curl -sf --get "http://127.0.0.1:$port/api/v1/$1" "${@:2}"; }
firing() { # NAME: the alerts that fire for it
    ask alerts | jq -r --arg of "$1" '[.data.alerts[] | select(.state == "firing" and .labels.instance == $of) | .labels.alertname] | unique | join(" ")'
}
fires() { [ "$(firing "$1")" = "$2" ]; }
all_firing() { ask alerts | jq -r '[.data.alerts[] | select(.state == "firing") | .labels.instance + ":" + .labels.alertname] | unique | join(" ")'; }
is_up() { [ "$(ask query --data-urlencode 'query=sum(up)' | jq -r '.data.result[0].value[1]')" = "$1" ]; }
ever() { # NAME: the alerts that have fired for it at any time
    ask query --data-urlencode "query=count by (alertname) (last_over_time(ALERTS{alertstate=\"firing\", instance=\"$1\"}[1h]))" |
        jq -r '[.data.result[].metric.alertname] | sort | join(" ")'
}
start_prometheus() {
    # The system chooses a port, which Prometheus cannot tell; so one that is free now.
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" --web.listen-address="127.0.0.1:$port" \
        >"$dir/prometheus.log" 2>&1 &
    until_true 30 ask query --data-urlencode query=1
}

# --- Troubles: `trouble_ALERT` makes it, on the queue of that name.

trouble_TenureDown() { kill -KILL "${web[TenureDown]}"; }
trouble_TenureNoWorker() { kill -KILL "${worker[TenureNoWorker]}"; }
trouble_TenureWorkerHangs() { kill -STOP "${worker[TenureWorkerHangs]}"; }
trouble_TenureJobsWait() { for _ in 1 2 3; do t TenureJobsWait add -- sleep 900; done; }
trouble_TenureRunsFail() { for _ in 1 2 3 4 5; do t TenureRunsFail add -- sh -c 'exit 3'; done; }
trouble_TenureRunsLost() { # worker, spawner, shim and job are killed
    local id
    id=$(t TenureRunsLost add -- sleep 901)
    until_true 20 is_running TenureRunsLost "$id"
    mapfile -t pids < <(children "${worker[TenureRunsLost]}")
    kill -KILL "${worker[TenureRunsLost]}" "${pids[@]}"
    work TenureRunsLost
}
children() { # PID: all below it
    local child
    while IFS= read -r child; do
        echo "$child"
        children "$child"
    done < <(cat /proc/"$1"/task/*/children 2>/dev/null | tr ' ' '\n' | grep .)
}
trouble_TenureRowsRepaired() { # a program drops the guards, writes a state that does not exist, and makes the guards again
    local db=$dir/TenureRowsRepaired.db id
    id=$(t TenureRowsRepaired add --hold -- true)
    {
        echo 'PRAGMA busy_timeout = 10000; PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE;'
        sqlite3 "$db" "SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_schema WHERE type = 'trigger'"
        echo "UPDATE job SET state = 'paused' WHERE id = $id;"
        sqlite3 "$db" "SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger'"
        echo 'COMMIT;'
    } >"$dir/hostile.sql"
    sqlite3 -bail "$db" <"$dir/hostile.sql"
}
trouble_TenureRunStuck() { # a job lives in a container in which tenure does not live any more; the next worker is in another one
    local id inside pid
    kill "${worker[TenureRunStuck]}"
    wait "${worker[TenureRunStuck]}" || true
    id=$(t TenureRunStuck add -- sh -c 'setsid sleep 902 & sleep 902')
    unshare --pid --fork --mount-proc --kill-child sh -c "'$tenure' --db '$dir/TenureRunStuck.db' work & sleep 900" </dev/null >>"$dir/TenureRunStuck.log" 2>&1 &
    inside=$!
    until_true 20 is_running TenureRunStuck "$id"
    while IFS= read -r pid; do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in tenure*) kill -KILL "$pid" || true ;; esac
    done < <(children "$inside")
    unshare --pid --fork --mount-proc --kill-child "$tenure" --db "$dir/TenureRunStuck.db" work </dev/null >>"$dir/TenureRunStuck.log" 2>&1 &
    until_true 20 t TenureRunStuck status --need-worker
}
is_running() { [ "$(job "$1" "$2" .pid)" != null ]; }
trouble_TenureHooksFail() { t TenureHooksFail add --on-end 'exit 1' -- true; }
trouble_TenureTeardownsFail() { t TenureTeardownsFail resource add vm --job 1 --teardown 'exit 9'; }
trouble_TenureDiskLow() { dd if=/dev/zero of="$dir/disk/full" bs=1M count=$(($(df --output=avail -m "$dir/disk" | tail -n 1) - 4)); }
trouble_TenureWalLarge() { # a program reads the file for long, while others write 80 MiB
    mkfifo "$dir/reader"
    sqlite3 "$dir/TenureWalLarge.db" <"$dir/reader" &
    exec 9>"$dir/reader"
    echo 'BEGIN; SELECT count(*) FROM job;' >&9
    for _ in 1 2 3 4; do
        sqlite3 "$dir/TenureWalLarge.db" "PRAGMA busy_timeout = 10000;
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
            INSERT INTO job (command, cwd, user_hold) SELECT json_array('echo', hex(zeroblob(50000))), '/', 1 FROM n;"
    done
}
trouble_TenureDescriptorsLow() { # its limit is about the least that it accepts; all slots, hooks and teardowns are in use
    local i
    for i in 1 2 3 4; do t TenureDescriptorsLow add --on-end 'sleep 903' -- true; done
    t TenureDescriptorsLow wait --timeout 20s 2-5
    for i in 1 2; do t TenureDescriptorsLow add -- sleep 906; done
    # One after the other: at its start a run has more.
    for i in 1 2 3 4; do
        sleep 1
        t TenureDescriptorsLow resource add "vm$i" --job 1 --teardown 'sleep 904'
    done
}
trouble_TenurePaused() { t TenurePaused queue set default --on-failure pause && t TenurePaused add -- false; }
trouble_TenureProblem() { t TenureProblem add --slots 99 -- true; } # more than the worker has

# --- The test.

mapfile -t alerts < <(sed -n 's/^ *- alert: //p' "$rules")
check 'the rules' 0 "$(promtool check rules "$rules" >"$dir/checked" 2>&1; echo $?)"
check 'the tests of the rules' 0 "$(promtool test rules "$here/rules.yml" >"$dir/tested" 2>&1; echo $?)"
for alert in "${alerts[@]}"; do
    check "$alert has a trouble" function "$(type -t "trouble_$alert")"
done
shorter
cat >"$dir/prometheus.yml" <<END
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}
rule_files: [$dir/alerts.yml]
scrape_configs:
END
mkdir "$dir/disk"
truncate -s 64M "$dir/disk.image"
mkfs.ext4 -q "$dir/disk.image"
mount -o loop "$dir/disk.image" "$dir/disk"
for name in healthy "${alerts[@]}"; do
    if [ "$name" = TenureDiskLow ]; then queue "$name" "$dir/disk"; else queue "$name"; fi
    work "$name"
    t "$name" wait --timeout 20s 1 || true
    serve "$name"
done
start_prometheus
until_true 30 is_up $((${#alerts[@]} + 1))
# The windows of the rules pass once.
sleep 32
check 'without troubles no alert fires' '' "$(all_firing)"

for alert in "${alerts[@]}"; do "trouble_$alert" >"$dir/$alert.trouble" 2>&1 || { echo "WRONG  trouble_$alert failed:"; cat "$dir/$alert.trouble"; wrong=1; }; done
t healthy add -- sh -c 'exit 3' >/dev/null
t healthy add -- sleep 905 >/dev/null
# Those with windows end with them, so each is looked at as soon as it fires.
declare -A seen=()
end=$((SECONDS + 60))
while [ ${#seen[@]} -lt ${#alerts[@]} ] && [ $SECONDS -lt $end ]; do
    for alert in "${alerts[@]}"; do
        if [ -z "${seen[$alert]:-}" ] && fires "$alert" "$alert"; then seen[$alert]=1; fi
    done
    sleep 0.5
done
sleep 5
for alert in "${alerts[@]}"; do
    check "$alert fires" "$alert" "$(ever "$alert")"
done
check 'healthy: a failed job and a long one are not an alert' '' "$(ever healthy)"

# --- The names of metrics. promtool reads the older text format, in which the family of a counter has the suffix, too.
curl -sf -H "Authorization: Bearer $(t healthy web token)" "$(jq -r .address "$dir/healthy.address")/metrics" >"$dir/scraped"
sed -n 's/^# TYPE \(.*\) counter$/\1/p' "$dir/scraped" | sed 's/.*/s:^\\(# [A-Z]* &\\) :\\1_total :/' >"$dir/suffix.sed"
check 'promtool finds nothing wrong with the metrics' '' "$(grep -v '^# EOF' "$dir/scraped" | sed -f "$dir/suffix.sed" | promtool check metrics 2>&1)"

# --- Every query of the dashboard.
while IFS= read -r query; do
    query=${query//\$__rate_interval/30s}
    query=${query//\$instance/.*}
    answer=$(ask query --data-urlencode "query=$query" | jq -r '.status + " " + (.data.result | length > 0 | tostring)')
    check "dashboard: $query" 'success true' "$answer"
done < <(jq -r '.panels[].targets[].expr' "$here/../grafana.json")
exit $wrong
