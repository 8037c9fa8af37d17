#!/usr/bin/env bash
# A SLURM cluster of this one machine, with one GPU that is none, for the tests; as root.
#
#   slurm_cluster.sh start FOLDER     its state and logs lie in FOLDER
#   slurm_cluster.sh stop FOLDER
#
# Needs Debian's slurm-wlm and munge. It writes /etc/slurm/slurm.conf and gres.conf, for jobs look
# nowhere else; where there is a slurm.conf of somebody else's, it ends.
set -euo pipefail
mark="# written by animate124's slurm_cluster.sh"

start() {
    local state=$1 host
    host=$(hostname -s)
    if [[ -e /etc/slurm/slurm.conf ]] && ! grep -q "$mark" /etc/slurm/slurm.conf; then
        echo "slurm_cluster.sh: /etc/slurm/slurm.conf is somebody else's." >&2
        exit 2
    fi
    mkdir -p "$state/ctld" "$state/d" /etc/slurm
    install -d -o munge -g munge -m 755 /run/munge
    cat >/etc/slurm/slurm.conf <<CONF
$mark
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/d
SlurmctldPidFile=$state/ctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/ctld.log
SlurmdLogFile=$state/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MinJobAge=43200
ReturnToService=2
MpiDefault=none
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    echo "NodeName=$host Name=gpu File=/dev/null" >/etc/slurm/gres.conf
    pgrep -x munged >/dev/null ||
        setpriv --reuid=munge --regid=munge --clear-groups /usr/sbin/munged
    slurmctld
    slurmd
    for _ in $(seq 300); do
        [[ $(sinfo -h -o %T) == idle ]] && return
        sleep 0.1
    done
    tail -n 20 "$state"/*.log >&2
    exit 1
}

stop() {
    local pid
    for pid in "$1/slurmd.pid" "$1/ctld.pid" /run/munge/munged.pid; do
        [[ ! -e $pid ]] || kill "$(cat "$pid")" || true
    done
    rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
}

"$1" "$2"
