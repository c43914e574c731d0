#!/bin/sh
# Packs one version. May be run again at any time.
set -eu
cd "$NEST/stage/$TENURE_PARAM_version"
tar -czf package.tar.gz.new -C tree .
mv package.tar.gz.new package.tar.gz
sha256sum package.tar.gz >package.sum
