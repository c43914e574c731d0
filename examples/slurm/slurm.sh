#!/usr/bin/env bash
# Slurm on this machine alone, below one directory, bound to loopback: munged, slurmctld, slurmd. For tests, as root.
#
#     examples/slurm/slurm.sh start DIR     installs the packages if needed; then: export SLURM_CONF=DIR/slurm.conf
#     examples/slurm/slurm.sh controller DIR stop|start
#     examples/slurm/slurm.sh stop DIR      ends the daemons and all that they have started
#
# CPUS: how many processors the node says that it has (default: 2); it may be more than there are.
set -euo pipefail
verb=${1:?start, controller or stop}
dir=$(mkdir -p "${2:?a directory}" && cd "$2" && pwd -P)
[ ${#dir} -le 60 ] || { echo "$dir: its sockets need a shorter path" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "it needs root" >&2; exit 2; }
export SLURM_CONF=$dir/slurm.conf

packages() {
  command -v slurmctld sbatch slurmd munged >/dev/null && return
  # The packages would start services of the machine.
  local policy=/usr/sbin/policy-rc.d before=
  [ -e $policy ] && before=$(mktemp) && cp -p $policy "$before"
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >"$dir/apt.log" 2>&1 || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >"$dir/apt.log" 2>&1
  }
  if [ -n "$before" ]; then mv "$before" $policy; else rm $policy; fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

configure() {
  [ -e "$SLURM_CONF" ] && return
  mkdir -p "$dir/state" "$dir/spool" "$dir/log"
  (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
  local host=${HOSTNAME%%.*} extra=
  [ "${CPUS:-2}" -le "$(nproc)" ] || extra=SlurmdParameters=config_overrides
  cat >"$SLURM_CONF" <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld
SlurmdLogFile=$dir/log/slurmd
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/completed
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
ReturnToService=2
KillWait=5
MinJobAge=3600
MaxJobCount=20000
$extra
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=${CPUS:-2} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=n1 Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n1 MaxTime=1 State=UP
CONF
  # The port of the node and of the daemon are the same one.
  local port
  port=$(sed -n 's/^SlurmdPort=//p' "$SLURM_CONF")
  sed -i "s/ Port=[0-9]*/ Port=$port/" "$SLURM_CONF"
}

# The process of a pid file, if it lives and is that daemon.
pid_of() {
  local pid
  pid=$(cat "$dir/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
}

wait_for() {
  local until=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { echo "waited without success for: $*" >&2; exit 1; }
    sleep 0.1
  done
}

daemon() {
  [ -n "$(pid_of "$1")" ] && return
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin SLURM_CONF="$SLURM_CONF" setsid "$@" </dev/null >>"$dir/log/start" 2>&1
  wait_for pid_of "$1"
}

end() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill -TERM "$pid"
  wait_for test ! -e "/proc/$pid"
}

controller() {
  daemon slurmctld -f "$SLURM_CONF"
  wait_for sh -c 'scontrol ping | grep -q UP'
}

# Ends what slurmd has started: all processes with this configuration and a job of it in their environment.
end_jobs() {
  local left=1 pid
  while [ $left -gt 0 ]; do
    left=0
    for environment in /proc/[0-9]*/environ; do
      pid=${environment//[!0-9]/}
      if [ "$pid" != $$ ] && grep -qzxF "SLURM_CONF=$SLURM_CONF" "$environment" 2>/dev/null; then
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        slurmctld | slurmd | munged) continue ;;
        slurmstepd*) ;;
        *) grep -qz '^SLURM_JOB_ID=' "$environment" 2>/dev/null || continue ;;
        esac
        kill -KILL "$pid" 2>/dev/null && left=1
      fi
    done
  done
}

case $verb in
start)
  packages
  configure
  daemon munged --force --socket="$dir/munge.socket" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
    --seed-file="$dir/munge.seed" --log-file="$dir/log/munged"
  controller
  daemon slurmd -f "$SLURM_CONF" -N n1
  wait_for sh -c "sinfo -h -n n1 -o %T | grep -Eq 'idle|mixed|allocated|completing'"
  ;;
controller)
  if [ "${3:?stop or start}" = stop ]; then end slurmctld; else controller; fi
  ;;
stop)
  end slurmctld
  end_jobs
  end slurmd
  end munged
  ;;
*)
  echo "start, controller or stop" >&2
  exit 2
  ;;
esac
