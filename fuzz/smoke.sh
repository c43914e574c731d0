#!/usr/bin/env bash
# A bounded run of each fuzz target: fuzz/smoke.sh [SECONDS] (default 6 for each); fuzz/smoke.sh build only builds them.
# It builds as cargo-fuzz does, with libFuzzer's counters, but on all cores and with little optimization: building takes
# longer than such a run.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-6}
host=$(rustc -vV | sed -n 's/^host: //p')
flags='--cfg fuzzing -Cpasses=sancov-module'
for counter in level=4 inline-8bit-counters pc-table trace-compares; do flags+=" -Cllvm-args=-sanitizer-coverage-$counter"; done
# With a target, the flags are not those of build scripts.
RUSTFLAGS=$flags cargo build --locked --release --bins --target "$host"
[ "$seconds" != build ] || exit 0
for target in argv_policy records pipeline_file calendar history owners walks; do
  echo "-- $target, $seconds s"
  mkdir -p "corpus/$target" "artifacts/$target"
  "target/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_len=900 \
    -max_total_time="$seconds" -print_final_stats=1 -verbosity=0
done
