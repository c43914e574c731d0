#!/bin/sh
# Publishes one version. A registry that cannot be asked twice: a second publication of a version would show in the ledger.
set -eu
cd "$NEST/stage/$TENURE_PARAM_version"
mkdir "$NEST/registry/busy" # two at once would collide here
echo "begin $TENURE_PARAM_version" >>"$NEST/ledger"
sha256sum --quiet -c package.sum
sleep 0.2 # an upload takes its time
"$TENURE" fence -- cp package.tar.gz "$NEST/registry/$TENURE_PARAM_version.tar.gz"
echo "end $TENURE_PARAM_version" >>"$NEST/ledger"
rmdir "$NEST/registry/busy"
