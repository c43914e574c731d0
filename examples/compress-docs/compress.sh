#!/bin/sh
# compress.sh SOURCE OUT LEDGER: one file, its checksum beside it, and two lines in the ledger that tell that this ran.
set -eu
n=${2##*/}
echo "start $n" >>"$3"
gzip -9 -c -- "$1" >"$2.gz"
sha256sum <"$1" >"$2.sum"
echo "end $n" >>"$3"
