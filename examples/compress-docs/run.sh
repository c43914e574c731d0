#!/usr/bin/env bash
# Compress every file of a large directory tree, one job each, while the worker is killed again and again; then verify each
# with a second wave of jobs. At the end every file was compressed exactly once, every checksum is right, and no process is left.
#
#     examples/compress-docs/run.sh [DIR] [FILES]
#
# DIR: the tree (default: the HTML documentation of the Rust toolchain). FILES: how many of its files to take (default 2500).
# TENURE: the program (default: target/release/tenure). Everything is made in a temporary directory and removed at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tenure=${TENURE:-$here/../../target/release/tenure}
source=${1:-$(rustc --print sysroot)/share/doc/rust/html}
files=${2:-2500}
seed=${SEED:-$RANDOM}
RANDOM=$seed
[ -x "$tenure" ] || { echo "build it first: cargo build --release" >&2; exit 2; }
[ -d "$source" ] || { echo "$source is not a directory; name one" >&2; exit 2; }

nest=$(mktemp -d)
export TENURE_DB=$nest/queue.db
worker=
cleanup() {
  [ -n "$worker" ] && kill -9 "$worker" 2>/dev/null
  rm -rf "$nest"
}
trap cleanup EXIT
mkdir "$nest/out"
: >"$nest/ledger"

echo "seed $seed; $files files of $source"
find "$source" -type f -size -2M | sort | head -n "$files" >"$nest/list" || true
count=$(wc -l <"$nest/list")
[ "$count" -ge 1 ] || { echo "there is no file below $source; name another directory" >&2; exit 2; }
[ "$count" -ge 2000 ] || echo "only $count files there; 2000 show more" >&2

# One job a file. Names may contain anything but a newline, so python writes the JSON.
python3 - "$nest" "$here" <<'PY' >"$nest/first.jsonl"
import json, sys
nest, here = sys.argv[1:]
for n, path in enumerate(open(f"{nest}/list", encoding="utf-8", errors="surrogateescape").read().splitlines()):
    print(json.dumps({"command": [f"{here}/compress.sh", path, f"{nest}/out/{n}", f"{nest}/ledger"], "label": "compress"}))
PY
"$tenure" add --from "$nest/first.jsonl" --chunk 10000 >"$nest/ids"
echo "queued $(wc -l <"$nest/ids") jobs"

work_and_kill() { # $1: label to wait for
  local kills=0 left
  while :; do
    left=$(sqlite_count "$1")
    [ "$left" -gt 0 ] || break
    "$tenure" work --slots 4 2>>"$nest/worker.log" &
    worker=$!
    sleep "0.$((RANDOM % 900 + 100))"
    if kill -9 "$worker" 2>/dev/null; then kills=$((kills + 1)); fi
    wait "$worker" 2>/dev/null || true
    worker=
    [ "$kills" -lt 200 ] || break
  done
  "$tenure" work --slots 4 --until-idle 2>>"$nest/worker.log"
  echo "$1: the worker was killed $kills times"
}
sqlite_count() {
  "$tenure" ls --label "$1" --state queued --state running -n 1000000 --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["jobs"]))'
}
work_and_kill compress

python3 - "$nest" "$here" "$count" <<'PY' >"$nest/second.jsonl"
import json, sys
nest, here, count = sys.argv[1:]
for n in range(int(count)):
    print(json.dumps({"command": [f"{here}/verify.sh", f"{nest}/out/{n}"], "label": "verify"}))
PY
"$tenure" add --from "$nest/second.jsonl" --chunk 10000 >/dev/null
work_and_kill verify

python3 - "$nest" "$count" "$tenure" <<'PY'
import collections, json, os, subprocess, sys
nest, count, tenure = sys.argv[1], int(sys.argv[2]), sys.argv[3]
starts, ends = collections.Counter(), collections.Counter()
for line in open(f"{nest}/ledger"):
    what, n = line.split()
    (starts if what == "start" else ends)[n] += 1
jobs = json.loads(subprocess.check_output([tenure, "ls", "-a", "-n", "1000000", "--json"]))["jobs"]
states = collections.Counter((j["label"], j["state"]) for j in jobs)
twice = [n for n, c in starts.items() if c != 1]
missing = [n for n in range(count) if ends[str(n)] != 1]
status = json.loads(subprocess.check_output([tenure, "status", "--json"]))
cookie = f"TENURE_DB={os.environ['TENURE_DB']}\0".encode()
left = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        env = open(f"/proc/{pid}/environ", "rb").read()
    except OSError:
        continue
    if b"TENURE_COOKIE=" in env and cookie in env:
        left.append(pid)
print("states:", dict(states))
print(f"compressed exactly once: {count - len(set(twice)) - len(missing)} of {count}; started twice: {len(twice)}; not finished: {len(missing)}")
print("adopted runs:", status["reaper"].get("adopted_total", 0), " lost runs:", status["reaper"].get("lost_total", 0), " processes left:", len(left))
ok = not twice and not missing and not left and states[("verify", "done")] == count and states[("compress", "done")] == count
sys.exit(0 if ok else 1)
PY
echo "all checksums right"
