# cancel NAME...: TERM, and KILL after the KillWait of Slurm. Nothing happens to a run that it does not have.
[ -z "$TENURE_OPTION_CONF" ] || export SLURM_CONF="$TENURE_OPTION_CONF"
failed=0
for name; do
  scancel --name="$name" || failed=1
done
exit $failed
