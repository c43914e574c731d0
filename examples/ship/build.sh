#!/bin/sh
# Builds one version: its files, and a manifest of them. May be run again at any time.
set -eu
stage=$NEST/stage/$TENURE_PARAM_version
rm -rf "$stage"
mkdir -p "$stage/tree"
git --git-dir="$TENURE_WORKSPACE/clone.git" archive "$TENURE_PARAM_version" | tar -x -C "$stage/tree"
cd "$stage/tree"
find . -type f | LC_ALL=C sort | xargs -d '\n' sha256sum >../manifest
