#!/bin/sh
# verify.sh OUT: what was compressed is what was there.
set -eu
[ "$(gzip -dc "$1.gz" | sha256sum)" = "$(cat "$1.sum")" ]
