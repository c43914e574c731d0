# cancel NAME...: TERM to the processes of each run; KILL when it is asked again.
{
  printf 'set -- %s\n' "$*"
  cat <<'REMOTE'
for name; do
  run=$HOME/.tenure-runs/$name
  if [ ! -s "$run/exit" ] && [ -s "$run/pid" ] && ! flock -n "$run/lock" true; then
    leader=$(cat "$run/pid")
    if [ ! -e "$run/cancelled" ]; then
      kill -TERM -- "-$leader"
    else
      # Not the leader, which records the end.
      for pid in $(ps -o pid= -s "$leader"); do
        [ "$pid" = "$leader" ] || kill -KILL "$pid"
      done
    fi
    : > "$run/cancelled"
  fi
done
exit 0
REMOTE
} | ssh -o BatchMode=yes -o ConnectTimeout=10 ${TENURE_OPTION_PORT:+-p "$TENURE_OPTION_PORT"} ${TENURE_OPTION_CONFIG:+-F "$TENURE_OPTION_CONFIG"} -- "$TENURE_OPTION_HOST" sh -s
