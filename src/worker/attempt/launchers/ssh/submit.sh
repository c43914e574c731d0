# submit NAME COMMAND...: starts the command on the host, detached from this connection.
#
# On the host each run has a directory ~/.tenure-runs/NAME: its lock is held while a process of the
# run lives, `exit` is its exit code, and `out` is what it has written.
host=${TENURE_OPTION_HOST:-}
if [ -z "$host" ]; then
  echo "the queue does not say which host: tenure queue set $TENURE_QUEUE --launcher-option host=NAME"
  exit 1
fi
name=$1
shift
quote() {
  for word; do
    printf "'"
    printf %s "$word" | sed "s/'/'\\\\''/g"
    printf "' "
  done
}
variables() {
  for variable in $TENURE_LAUNCH_VARIABLES; do
    value=
    eval "value=\$$variable"
    printf 'export %s=' "$variable"
    quote "$value"
    echo
  done
}
{
  printf 'name=%s dir=' "$name"
  quote "${TENURE_OPTION_DIR:-$PWD}"
  echo
  variables
  printf 'set -- '
  quote "$@"
  echo
  cat <<'REMOTE'
umask 077
export TENURE_RUN_NAME="$name" TENURE_RUN_DIR="$dir"
mkdir -p "$HOME/.tenure-runs" || exit 75
find "$HOME/.tenure-runs" -mindepth 2 -maxdepth 2 -name exit -mtime +7 -printf '%h\0' 2>/dev/null | xargs -0r rm -rf
setsid sh -c '
  run=$HOME/.tenure-runs/$TENURE_RUN_NAME
  mkdir "$run" 2>/dev/null || exit
  exec 9> "$run/lock"
  flock -n 9 || exit
  echo $$ > "$run/pid"
  trap : TERM
  (cd "$TENURE_RUN_DIR" && exec "$@") > "$run/out" 2>&1
  echo $? > "$run/exit.new"
  mv "$run/exit.new" "$run/exit"
  trap "" TERM
  kill -TERM -- -$$
' sh "$@" < /dev/null > /dev/null 2>&1 &
REMOTE
} | ssh -o BatchMode=yes -o ConnectTimeout=10 ${TENURE_OPTION_PORT:+-p "$TENURE_OPTION_PORT"} ${TENURE_OPTION_CONFIG:+-F "$TENURE_OPTION_CONFIG"} -- "$host" sh -s
code=$?
# 255: ssh itself has failed. Whether the run has begun is asked for.
[ $code = 255 ] && exit 75
[ $code = 0 ] && echo "$host:$name"
exit $code
