# status NAME...: how each run is, by the locks on the host.
#
# A run that the host does not have gets its directory here, so that a submission that is still on
# its way cannot begin it any more.
{
  printf 'set -- %s\n' "$*"
  cat <<'REMOTE'
umask 077
mkdir -p "$HOME/.tenure-runs" || exit 1
for name; do
  run=$HOME/.tenure-runs/$name
  if [ -s "$run/exit" ]; then
    echo "$name ended $(cat "$run/exit")"
  elif mkdir "$run" 2>/dev/null; then
    : > "$run/refused"
    echo "$name gone"
  elif [ -e "$run/refused" ]; then
    echo "$name gone"
  elif [ ! -e "$run/lock" ]; then
    if [ -n "$(find "$run" -maxdepth 0 -mmin +1)" ]; then
      echo "$name lost it never began"
    else
      echo "$name unknown it begins"
    fi
  elif ! flock -n "$run/lock" true; then
    echo "$name running"
  elif [ -s "$run/exit" ]; then
    echo "$name ended $(cat "$run/exit")"
  else
    echo "$name lost its processes are gone, without an exit code"
  fi
done
REMOTE
} | ssh -o BatchMode=yes -o ConnectTimeout=10 ${TENURE_OPTION_PORT:+-p "$TENURE_OPTION_PORT"} ${TENURE_OPTION_CONFIG:+-F "$TENURE_OPTION_CONFIG"} -- "$TENURE_OPTION_HOST" sh -s
