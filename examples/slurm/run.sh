#!/usr/bin/env bash
# 500 real jobs through Slurm, set up on this machine, while the worker is killed 30 times and the controller restarted 5 times.
# At the end every file was compressed exactly once, by a ledger that the jobs write and by Slurm's own, every checksum is right,
# and neither a process nor a job of Slurm is left.
#
#     examples/slurm/run.sh [DIR] [FILES]
#
# DIR: a tree of files (default: the HTML documentation of the Rust toolchain). FILES: how many of its files to take (default 500).
# TENURE: the program (default: target/release/tenure). As root on Debian: installs slurm-wlm and munge if they are missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tenure=$(realpath "${TENURE:-$here/../../target/release/tenure}")
source=${1:-$(rustc --print sysroot)/share/doc/rust/html}
files=${2:-500}
seed=${SEED:-$RANDOM}
RANDOM=$seed
[ -x "$tenure" ] || { echo "build it first: cargo build --release" >&2; exit 2; }
[ -d "$source" ] || { echo "$source is not a directory; name one" >&2; exit 2; }

nest=$(mktemp -d /tmp/slurm-XXXXXX)
export TENURE_DB=$nest/queue.db
worker=
cleanup() {
  [ -z "$worker" ] || kill -9 "$worker" 2>/dev/null || true
  "$here/slurm.sh" stop "$nest/slurm" || true
  rm -rf "$nest"
}
trap cleanup EXIT
mkdir "$nest/out"
: >"$nest/ledger"
CPUS=${CPUS:-16} "$here/slurm.sh" start "$nest/slurm"
export SLURM_CONF=$nest/slurm/slurm.conf

find "$source" -type f -size -2M | sort | head -n "$files" >"$nest/list" || true
count=$(wc -l <"$nest/list")
[ "$count" -ge 1 ] || { echo "there is no file below $source; name another directory" >&2; exit 2; }
echo "seed $seed; $count files of $source"
"$tenure" queue set far --launcher slurm --slots 100 --launcher-option conf="$SLURM_CONF" --launcher-option interval=500ms
python3 - "$nest" "$here" <<'PY' >"$nest/jobs.jsonl"
import json, sys
nest, here = sys.argv[1:]
for n, path in enumerate(open(f"{nest}/list", encoding="utf-8", errors="surrogateescape").read().splitlines()):
    command = [f"{here}/../compress-docs/compress.sh", path, f"{nest}/out/{n}", f"{nest}/ledger"]
    print(json.dumps({"command": command, "queue": "far"}))
PY
"$tenure" add --from "$nest/jobs.jsonl" >"$nest/ids"
echo "queued $(wc -l <"$nest/ids") jobs"

work() {
  "$tenure" work 2>>"$nest/worker.log" &
  worker=$!
}
kills=0
restarts=0
while [ $kills -lt 30 ]; do
  work
  sleep "0.$((RANDOM % 900 + 100))"
  kill -9 "$worker"
  wait "$worker" 2>/dev/null || true
  kills=$((kills + 1))
  if [ $((kills % 6)) = 0 ]; then
    "$here/slurm.sh" controller "$nest/slurm" stop
    work
    sleep "0.$((RANDOM % 900 + 100))"
    kill -9 "$worker"
    wait "$worker" 2>/dev/null || true
    "$here/slurm.sh" controller "$nest/slurm" start
    restarts=$((restarts + 1))
  fi
done
"$tenure" work --until-idle 2>>"$nest/worker.log"
worker=
echo "the worker was killed $((kills + restarts)) times, and the controller restarted $restarts times"

wrong() { echo "WRONG: $*" >&2; exit 1; }
done_jobs=$("$tenure" ls --all -n 1000000 --state "done" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["jobs"]))')
[ "$done_jobs" = "$count" ] || wrong "$done_jobs jobs are done, not $count"
# A line for the start of each job, and one for its end.
lines=$(wc -l <"$nest/ledger")
[ "$lines" = $((2 * count)) ] || wrong "the ledger has $lines lines, not $((2 * count))"
[ "$(sort -u "$nest/ledger" | wc -l)" = "$lines" ] || wrong "a job ran twice, by the ledger"
names=$(sed -n 's/.* Name=\(tenure-[0-9a-f]*\) .*/\1/p' "$nest/slurm/log/completed")
[ "$(echo "$names" | wc -l)" = "$count" ] || wrong "Slurm ran $(echo "$names" | wc -l) jobs, not $count"
[ "$(echo "$names" | sort -u | wc -l)" = "$count" ] || wrong "Slurm ran a job twice"
[ "$(grep -c ' Name=tenure-.*JobState=COMPLETED' "$nest/slurm/log/completed")" = "$count" ] || wrong "an end in Slurm"
[ -z "$(squeue -h)" ] || wrong "Slurm has jobs left: $(squeue -h)"
n=0
while IFS= read -r path; do
  gunzip -c "$nest/out/$n.gz" | cmp -s - "$path" || wrong "the output of $path"
  n=$((n + 1))
done <"$nest/list"
echo "each of $count files was compressed once, by the ledger and by Slurm; every output is right; Slurm has no job left"
