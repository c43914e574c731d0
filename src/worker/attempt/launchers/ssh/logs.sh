# logs NAME FROM COUNT: what the run has written after its first FROM bytes, COUNT bytes at most.
{
  printf 'set -- %s\n' "$*"
  cat <<'REMOTE'
out=$HOME/.tenure-runs/$1/out
if [ -e "$out" ]; then tail -c "+$(($2 + 1))" "$out" | head -c "$3"; fi
REMOTE
} | ssh -o BatchMode=yes -o ConnectTimeout=10 ${TENURE_OPTION_PORT:+-p "$TENURE_OPTION_PORT"} ${TENURE_OPTION_CONFIG:+-F "$TENURE_OPTION_CONFIG"} -- "$TENURE_OPTION_HOST" sh -s 2> /dev/null
