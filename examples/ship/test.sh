#!/bin/sh
# Tests the build against a server that is created for this run. Its teardown is recorded before it is created.
set -eu
stage=$NEST/stage/$TENURE_PARAM_version
server=$NEST/servers/$TENURE_PARAM_version
"$TENURE" resource add "server-$TENURE_PARAM_version" --teardown "rm -rf '$server'" --probe "test -e '$server'" >/dev/null
mkdir "$server" # fails where the server of an earlier attempt is still there
cp -r "$stage/tree" "$server/root"
sleep 0.1 # so does the start of a server
(cd "$server/root" && sha256sum --quiet -c "$stage/manifest")
[ "$(wc -l <"$stage/manifest")" = "$(git --git-dir="$NEST/origin.git" ls-tree -r --name-only "$TENURE_PARAM_version" | wc -l)" ]
echo ok >"$stage/report"
