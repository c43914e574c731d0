#!/usr/bin/env bash
# A bounded run of each fuzz target: fuzz/smoke.sh [SECONDS] (default 10 for each); fuzz/smoke.sh build only builds them.
# Installs cargo-fuzz if it is not there.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-10}
export RUSTC_BOOTSTRAP=1
# The targets are built with the packages that their lock names, as the program is.
cargo metadata --locked --format-version 1 >/dev/null
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz --version 0.13.2
if [ "$seconds" = build ]; then
  cargo fuzz build --fuzz-dir . --sanitizer none --codegen-units 16
  exit
fi
for target in argv_policy records pipeline_file calendar history owners walks; do
  echo "-- $target, $seconds s"
  mkdir -p "corpus/$target"
  cargo fuzz run --fuzz-dir . --sanitizer none --codegen-units 16 "$target" "corpus/$target" -- -max_len=900 -max_total_time="$seconds" -print_final_stats=1 -verbosity=0
done
