# status NAME...: how each run is, by one call of squeue for all of them, and by the accounting, if
# there is one, for what the controller has forgotten and for what a run has used.
[ -z "$TENURE_OPTION_CONF" ] || export SLURM_CONF="$TENURE_OPTION_CONF"
filter=
if [ $# -le 2000 ]; then
  filter=--name=$(echo "$*" | tr ' ' ,)
fi
listed=$(squeue --noheader --states=all ${filter:+"$filter"} -O 'JobID:|,State:|,Reason:|,exit_code:|,Name:|') || exit 1
# A line for each run: its number in Slurm, and the answer.
answers=$(
  {
    printf '%s\n' "$@"
    echo --
    printf '%s\n' "$listed"
  } | awk -F'|' '
    $0 == "--" { past = 1; next }
    !past { wanted[$0] = 1; next }
    !($5 in wanted) { next }
    {
      seen[$5] = 1
      state = $2
      # The wait status of the job.
      code = int($4 / 256)
      signal = $4 % 128
      end = signal ? "ended signal:" signal : "ended " code
      if (state == "PENDING" || state ~ /REQUEUE|CONFIGURING|RESV_DEL_HOLD|SPECIAL_EXIT/) answer = "waiting " $3
      else if (state ~ /^(RUNNING|COMPLETING|SUSPENDED|STOPPED|SIGNALING|RESIZING|STAGE_OUT)$/) answer = "running"
      else if (state == "COMPLETED") answer = "ended 0"
      else if (state == "FAILED" && $3 == "BadConstraints") answer = "gone " $3
      else if (state == "FAILED" && $4 > 0) answer = end
      else if (state == "FAILED") answer = "lost " $3
      else if (state == "TIMEOUT" || state == "DEADLINE") answer = "timeout"
      else if (state == "OUT_OF_MEMORY") answer = "memory"
      else if (state == "CANCELLED" || state == "REVOKED") answer = "stopped " $3
      else if (state == "NODE_FAIL" || state == "BOOT_FAIL" || state == "PREEMPTED") answer = "lost " state
      else answer = "unknown " state
      print $1, $5, answer
    }
    END { for (name in wanted) if (!(name in seen)) print "-", name, "gone" }'
)
ended=$(printf '%s\n' "$answers" | awk '$3 == "ended" { ids = ids "," $1 } END { print substr(ids, 2) }')
forgotten=$(printf '%s\n' "$answers" | awk '$1 == "-" { names = names "," $2 } END { print substr(names, 2) }')
if [ -z "$ended$forgotten" ] || ! sacct --noheader --allocations --jobs=1 > /dev/null 2>&1; then
  printf '%s\n' "$answers" | cut -d ' ' -f 2-
  exit 0
fi
{
  printf '%s\n' "$answers" | sed 's/^/answer /'
  if [ -n "$forgotten" ]; then
    sacct --noheader --parsable2 --allocations --starttime=now-30days --name="$forgotten" --format=jobname,state,exitcode |
      sed 's/^/past|/'
  fi
  if [ -n "$ended" ]; then
    sacct --noheader --parsable2 --jobs="$ended" --format=jobid,maxrss,usercpu,systemcpu | sed 's/^/used|/'
  fi
} | awk '
  function bytes(text,  unit) {
    unit = substr(text, length(text))
    return text * (unit == "K" ? 1024 : unit == "M" ? 1048576 : unit == "G" ? 1073741824 : 1)
  }
  # Such as 1-02:03:04, 02:03:04 or 03:04.567.
  function ms(text,  day, part, days, n, i, seconds) {
    if (split(text, day, "-") == 2) { days = day[1]; text = day[2] }
    n = split(text, part, ":")
    for (i = 1; i <= n; i++) seconds = seconds * 60 + part[i]
    return (days * 86400 + seconds) * 1000
  }
  /^answer / { line[++lines] = $0; next }
  { split($0, field, "|") }
  field[1] == "past" {
    state = field[3]
    split(field[4], code, ":")
    if (state ~ /^COMPLETED/) past[field[2]] = "ended 0"
    else if (state ~ /^FAILED/) past[field[2]] = code[2] > 0 ? "ended signal:" code[2] : "ended " code[1]
    else if (state ~ /^(TIMEOUT|DEADLINE)/) past[field[2]] = "timeout"
    else if (state ~ /^OUT_OF_ME/) past[field[2]] = "memory"
    else if (state ~ /^(CANCELLED|REVOKED)/) past[field[2]] = "stopped"
    else if (state ~ /^(NODE_FAIL|BOOT_FAIL|PREEMPTED)/) past[field[2]] = "lost " state
    else past[field[2]] = "unknown " state
  }
  field[1] == "used" {
    id = field[2]
    is_whole = id !~ /\./
    sub(/\..*/, "", id)
    if (bytes(field[3]) > rss[id]) rss[id] = bytes(field[3])
    if (is_whole) { user[id] = ms(field[4]); system_of[id] = ms(field[5]) }
  }
  END {
    for (i = 1; i <= lines; i++) {
      split(line[i], word, " ")
      id = word[2]
      name = word[3]
      text = line[i]
      sub(/^answer [^ ]+ [^ ]+ /, "", text)
      if (id == "-" && name in past) text = past[name]
      if (text ~ /^ended/ && id in user) {
        text = text sprintf(" user_ms=%.0f system_ms=%.0f", user[id], system_of[id])
        if (rss[id] > 0) text = text sprintf(" max_rss=%.0f", rss[id])
      }
      print name, text
    }
  }'
