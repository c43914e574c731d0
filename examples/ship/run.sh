#!/usr/bin/env bash
# A real pipeline on this project's own history, with the worker killed again and again: check out a version into a workspace, build,
# test with a check, package, publish under a lane and a lease, tear down. At the end each version was published exactly once, no
# resource, no lease and no staging directory is left, and no task hangs.
#
#     examples/ship/run.sh [VERSIONS] [KILLS]
#
# VERSIONS: how many of the latest commits to ship (default 60). KILLS: how often the worker is killed (default 50).
# TENURE: the program (default: target/release/tenure). Everything is made in a temporary directory and removed at the end.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
TENURE=${TENURE:-$HERE/../../target/release/tenure}
TENURE=$(realpath "$TENURE")
versions=${1:-60} kills=${2:-50}
seed=${SEED:-$RANDOM}
RANDOM=$seed
[ -x "$TENURE" ] || { echo "build it first: cargo build --release" >&2; exit 2; }

NEST=$(mktemp -d)
export HERE NEST TENURE TENURE_DB=$NEST/queue.db
worker=
cleanup() {
  [ -n "$worker" ] && kill -9 "$worker" 2>/dev/null
  rm -rf "$NEST"
}
trap cleanup EXIT
mkdir "$NEST/stage" "$NEST/servers" "$NEST/registry"
: >"$NEST/ledger"
git clone --quiet --bare "$HERE/../.." "$NEST/origin.git"
mapfile -t ids < <(git --git-dir="$NEST/origin.git" log --format=%h -n "$versions")
echo "seed $seed; ${#ids[@]} versions"

# The stages find the places by their environment, which a pipeline gives to each of its stages.
sed "s|^shell = .*|&\nenv = { HERE = \"$HERE\", NEST = \"$NEST\", TENURE = \"$TENURE\" }|" "$HERE/pipeline.toml" >"$NEST/pipeline.toml"
"$TENURE" pipeline apply "$NEST/pipeline.toml"
for id in "${ids[@]}"; do
  "$TENURE" task start ship --key "$id" -p version="$id" >/dev/null
done

live() { # how many tasks have not ended
  "$TENURE" task ls --json | python3 -c 'import json,sys; print(sum(t["state"] == "running" for t in json.load(sys.stdin)["tasks"]))'
}
killed=0
while [ "$killed" -lt "$kills" ] && [ "$(live)" -gt 0 ]; do
  "$TENURE" work --slots 4 2>>"$NEST/worker.log" &
  worker=$!
  sleep "0.$(printf %03d $((RANDOM % 500 + 50)))"
  if kill -9 "$worker" 2>/dev/null; then killed=$((killed + 1)); fi
  wait "$worker" 2>/dev/null || true
  worker=
done
echo "the worker was killed $killed times; $(live) tasks were under way then"
"$TENURE" work --slots 4 --until-empty 2>>"$NEST/worker.log"

python3 - "${ids[@]}" <<'PY'
import collections, json, os, subprocess, sys
ids, nest, tenure = sys.argv[1:], os.environ["NEST"], os.environ["TENURE"]
ask = lambda *words: json.loads(subprocess.check_output([tenure, *words, "--json"]))
ledger = collections.Counter(open(f"{nest}/ledger").read().splitlines())
once = [i for i in ids if ledger[f"begin {i}"] == 1 and ledger[f"end {i}"] == 1 and os.path.exists(f"{nest}/registry/{i}.tar.gz")]
tasks = collections.Counter(t["state"] for t in ask("task", "ls", "-a")["tasks"])
resources = [r for r in ask("resource", "ls", "-a")["resources"] if r["state"] != "released"]
leases = ask("lease", "ls")["leases"]
status = ask("status")
ours = f"TENURE_DB={os.environ['TENURE_DB']}".encode()
left = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        env = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
    except OSError:
        continue
    if ours in env and any(e.startswith(b"TENURE_COOKIE=") for e in env):
        left.append(pid)
print(f"published exactly once: {len(once)} of {len(ids)}; tasks: {dict(tasks)}")
print("resources not torn down:", len(resources), " leases held:", len(leases), " servers:", len(os.listdir(f"{nest}/servers")),
      " staging directories:", len(os.listdir(f"{nest}/stage")), " processes:", len(left))
print("adopted runs:", status["reaper"].get("adopted_total", 0), " lost runs:", status["reaper"].get("lost_total", 0))
ok = len(once) == len(ids) and tasks == {"done": len(ids)} and not (resources or leases or left)
ok = ok and not os.listdir(f"{nest}/servers") and not os.listdir(f"{nest}/stage") and not os.path.exists(f"{nest}/registry/busy")
if not ok:
    print(subprocess.check_output([tenure, "task", "ls", "-a"]).decode())
    print(open(f"{nest}/worker.log").read()[-4000:])
sys.exit(0 if ok else 1)
PY
