#!/usr/bin/env bash
# tests/hosts/test_slurm.sh PROGRAM: two nodes of Slurm on this machine, which
# have their own /dev/shm, /tmp and process numbers; without munge.  Debian's
# slurmctld and slurmd.
set -u
here=$(dirname "$(realpath "$0")")
. "$here/hosts.sh"
PATH=$PATH:/usr/sbin
command -v slurmctld slurmd srun >/dev/null || { echo 'NOT RUN: no slurmctld and slurmd here'; exit 77; }
program=$(realpath "$1")
work=${HOSTS_WORK:-$(mktemp -d -p "$(dirname "$program")" slurm-XXXXXX)}
export HOSTS_WORK=$work
[ "${HOSTS_INSIDE:-}" = yes ] || trap 'rm -rf "$work"' EXIT
run_in_name_spaces bash "$0" "$@"

cd "$work" || exit 1
mount --make-rprivate /
own_memory && hostname ctl
ip link set lo up # names are looked up only where there is more than that
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip addr add 10.9.1.1/24 dev eth0
ip link set eth0 up
printf '127.0.0.1 localhost\n10.9.1.1 ctl n1 n2\n' >known
mount --bind known /etc/hosts
cat >slurm.conf <<EOF
ClusterName=test
SlurmctldHost=ctl
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/pgid
SwitchType=switch/none
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
KillWait=3
ReturnToService=2
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmdSpoolDir=$work/spool-%n
StateSaveLocation=$work/state
SlurmctldLogFile=$work/ctld.log
SlurmdLogFile=$work/slurmd-%n.log
NodeName=n1 NodeHostname=ctl NodeAddr=10.9.1.1 Port=7001 CPUs=4
NodeName=n2 NodeHostname=ctl NodeAddr=10.9.1.1 Port=7002 CPUs=4
PartitionName=all Nodes=n1,n2 Default=YES State=UP
EOF
export SLURM_CONF=$work/slurm.conf
mkdir state spool-n1 spool-n2
slurmctld -f slurm.conf -i
for node in n1 n2; do
    unshare --uts --ipc --mount --pid --fork --kill-child \
        bash -c "$(declare -f own_memory); own_memory; exec slurmd -N $node -f $work/slurm.conf -D" >"$node.out" 2>&1 &
done
for _ in $(seq 100); do
    [ "$(sinfo -h -N -o %T 2>/dev/null | sort -u)" != idle ] || break
    sleep 0.2
done
[ "$(sinfo -h -N -o %T | sort -u)" = idle ] || { echo 'NOT RUN: Slurm does not start here'; exit 77; }

n_bad=0
bad()
{
    echo "FAILED: $*"
    sed 's/^/  out: /' out | tail -8
    n_bad=$((n_bad + 1))
}
plan='verify shadow-a --plan tp=2,dp=2,pp=2 --stall 10'

# expect CODE REGEX COMMAND...
expect()
{
    "${@:3}" >out 2>&1 </dev/null
    local code=$?
    [ $code = "$1" ] || bad "exit $code, expected $1: ${*:3}"
    grep -Eq "$2" out || bad "expected /$2/: ${*:3}"
}

nothing_left()
{
    local left= node
    for _ in $(seq 100); do
        left=$(ps -e -o stat=,args= | grep -v '^Z' | grep -E '[m]oeparity (verify|watch)|/[m]oeparity verify')
        for node in $(pgrep -x slurmd); do
            left+=$(ls -A "/proc/$node/root/dev/shm" "/proc/$node/root/tmp" | grep moeparity)
        done
        [ -n "$left" ] || return 0
        sleep 0.2
    done
    bad "left: $left"
}

# hold COMMAND...: rank 1 waits for its end
hold()
{
    rm -f fifo
    mkfifo fifo
    MOEPARITY_HOLD="1 layers.1.attn_out $work/fifo" "$@" >out 2>&1 </dev/null &
    run=$!
    exec 3<>fifo
    held=
    for _ in $(seq 60); do ! read -t 1 -r held <&3 || break; done
    exec 3<&-
    [ -n "$held" ] || bad 'rank 1 never came'
}

expect 0 '^VERIFIED' srun -N2 -n 8 --mpi=pmi2 "$program" $plan
nothing_left
expect 2 'srun started 8 tasks that do not know each other: it needs --mpi=pmi2' \
    srun -N2 -n 8 --mpi=none "$program" $plan
nothing_left
if srun -n 1 --mpi=pmix true 2>/dev/null; then # MPICH of Debian has no client of it
    expect 2 'srun started 8 tasks that do not know each other: it needs --mpi=pmi2' \
        srun -N2 -n 8 --mpi=pmix "$program" $plan
    expect 0 '^VERIFIED' srun -n 1 --mpi=pmix "$program" $plan # ranks are launched
    nothing_left
else
    echo 'NOT RUN: srun --mpi=pmix, which wants libpmix.so'
fi
expect 0 '^VERIFIED' srun -n 1 --mpi=pmi2 bash -c "$program $plan" # a shell in a step
expect 0 '^VERIFIED' salloc -N2 -n 8 env HYDRA_LAUNCHER=slurm "$program" $plan
nothing_left

hold srun -N2 -n 8 --mpi=pmi2 "$program" $plan # a rank is killed
for node in $(pgrep -x slurmd); do
    nsenter --target "$node" --pid --mount bash -c \
        "grep -qs 'MOEPARITY_HOLD=' /proc/$held/environ && grep -zqx PMI_RANK=1 /proc/$held/environ && kill -KILL $held"
done
wait $run
[ $? = 137 ] || bad 'a killed rank: not 137'
grep -Eq "^moeparity: rank 1 \(pid $held on ctl\) died; last seen: .*layers\.1\.attn_out" out || bad 'the killed rank is not named'
nothing_left

hold srun -N2 -n 8 --mpi=pmi2 "$program" $plan # a job is cancelled
scancel "$(squeue -h -o %i)"
wait $run
[ $? = 143 ] || bad 'a cancelled step: not 143'
nothing_left

[ $n_bad = 0 ] && echo 'all well under Slurm'
exit $n_bad
