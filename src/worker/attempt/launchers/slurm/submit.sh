# submit NAME COMMAND...: gives the run to Slurm as a batch job of that name.
#
# Slurm must not begin it a second time by itself: whether a lost run is tried again is for tenure to
# decide, by what the job allows. `requeue=yes` as an option of the queue leaves that to Slurm.
[ -z "$TENURE_OPTION_CONF" ] || export SLURM_CONF="$TENURE_OPTION_CONF"
name=$1
shift
log=$(printf %s "$TENURE_LAUNCH_LOG" | sed 's/%/%%/g')
# Variables of sbatch would be options that no one has asked for.
for variable in $(env | sed -n 's/^\(SBATCH_[A-Z0-9_]*\)=.*/\1/p'); do
  unset "$variable"
done
# The command comes after the options, byte for byte.
set -- /dev/stdin "$@"
requeue=--no-requeue
for option in $TENURE_LAUNCH_OPTIONS; do
  variable=TENURE_OPTION_$(printf %s "$option" | tr a-z- A-Z_)
  value=
  eval "value=\$$variable"
  case $option in
  interval | conf) ;;
  requeue) [ "$value" = yes ] && requeue=--requeue ;;
  *) set -- "--$option=$value" "$@" ;;
  esac
done
set -- $requeue --cpus-per-task="$TENURE_LAUNCH_SLOTS" "$@"
if [ -n "$TENURE_LAUNCH_SECONDS" ]; then
  # Slurm counts minutes. tenure cancels what runs longer than it may.
  set -- --time="$(((TENURE_LAUNCH_SECONDS + 119) / 60))" "$@"
fi
if [ -n "$TENURE_LAUNCH_MEMORY_BYTES" ]; then
  set -- --mem="$(((TENURE_LAUNCH_MEMORY_BYTES + 1048575) / 1048576))M" "$@"
fi
if [ -n "$TENURE_LAUNCH_USES_GPU" ]; then
  set -- --gres="gpu:$TENURE_LAUNCH_USES_GPU" "$@"
fi
if [ -n "$TENURE_LAUNCH_STDIN" ]; then
  set -- --input="$TENURE_LAUNCH_STDIN" "$@"
fi
for variable in $(env | sed -n 's/^\(TENURE_LAUNCH_[A-Z0-9_]*\)=.*/\1/p; s/^\(TENURE_OPTION_[A-Z0-9_]*\)=.*/\1/p'); do
  unset "$variable"
done
# By it tenure would find the processes of the job where they run on this machine too.
unset TENURE_COOKIE
said=$(
  printf '#!/bin/sh\nexec "$@"\n' |
    sbatch --parsable --job-name="$name" --output="$log" --open-mode=append --chdir="$PWD" --export=ALL "$@" 2>&1
)
code=$?
echo "$said"
case $code,$said in
0,*) exit 0 ;;
127,*) exit 127 ;;
*"nable to contact slurm controller"* | *"ocket timed out"* | *"ommunication connection failure"* | *"emporarily unable"*) exit 75 ;;
esac
exit 1
