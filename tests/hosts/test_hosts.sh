#!/usr/bin/env bash
# tests/hosts/test_hosts.sh PROGRAM [CASE...]: runs on three hosts a, b and c,
# which share nothing but the program's folder: see hosts.sh.
#
# Each way of starting: by our launcher, over a file that names the hosts, and
# by the user's own mpiexec.  After each run no process and no file is left on
# any host.  Without CASE: all that this script knows.
set -u
here=$(dirname "$(realpath "$0")")
. "$here/hosts.sh"
program=$(realpath "$1")
work=${HOSTS_WORK:-$(mktemp -d -p "$(dirname "$program")" hosts-XXXXXX)}
export HOSTS_WORK=$work
[ "${HOSTS_INSIDE:-}" = yes ] || trap 'rm -rf "$work"' EXIT
run_in_name_spaces bash "$0" "$@"
shift

make_hosts "$work" a b c
cd "$work" || exit 1
printf '%s\n' a b c >hosts
export HYDRA_LAUNCHER=ssh HYDRA_LAUNCHER_EXEC=$work/enter
n_bad=0

bad()
{
    echo "FAILED $case_name: $*"
    sed 's/^/  err: /' err | head -20
    n_bad=$((n_bad + 1))
}

# launched ARGS...: by us; started ARGS...: by the user
launched() { HYDRA_HOST_FILE=$work/hosts "$program" "$@"; }
started() { mpiexec -hosts a,b,c -n "$n_rank" "$program" "$@"; }

files_left() { for host in a b c; do on $host ls -A /dev/shm /tmp; done | grep -v ':$' | grep .; }
processes_left() { ps -e -o stat=,args= | grep -v '^Z' | grep -E '[m]oeparity|[h]ydra_pmi|[m]piexec' | grep -v test_hosts; }

# Hydra's last processes and the watches of the other hosts end a little later.
nothing_left()
{
    for _ in $(seq 100); do
        [ -n "$(files_left)$(processes_left)" ] || return 0
        sleep 0.2
    done
    bad "left: $(files_left) $(processes_left)"
}

# expect CODE COMMAND...
expect()
{
    "${@:2}" >out 2>err </dev/null
    local code=$?
    [ $code = "$1" ] || bad "exit $code, expected $1"
}

# says REGEX: on one line of stderr, beside the estimate
says()
{
    grep -Eq "$1" err || bad "expected /$1/"
    [ "$(grep -c '^moeparity: ' <(grep -v '^moeparity: about' err))" = 1 ] || bad 'not one line'
}

small='verify shadow-a --plan tp=2,dp=2,pp=2 --stall 5'
n_rank=8

# hold RANK COMMAND...: in the background, as process $run; the rank waits for
# its end, as process $held of its own host
hold()
{
    rm -f fifo
    mkfifo fifo
    MOEPARITY_HOLD="$1 layers.1.attn_out $work/fifo" "${@:2}" >out 2>err </dev/null &
    run=$!
    exec 3<>fifo
    held=
    for _ in $(seq 60); do
        part= # a second may end within the number
        if read -t 1 -r part <&3; then
            held+=$part
            break
        fi
        held+=$part
        kill -0 $run 2>/dev/null || break
    done
    exec 3<&-
    [ -n "$held" ] || bad "rank $1 never came"
}

# ended CODE: or, under the user's own mpiexec, as that ends when its proxies stumble over each other's end
ended()
{
    wait $run
    local code=$?
    [ "${how:-} $code" != 'started 255' ] || ! grep -q 'process manager error' err || return 0
    [ $code = "$1" ] || bad "exit $code, expected $1"
    [ ! -s out ] || bad 'a report of a run that was ended'
}

case_verify()
{
    for how in launched started; do
        n_rank=32
        expect 0 $how verify seed-mini --plan seed-32 --batch 8x8 --allow-partial
        grep -q '^PARTIAL    right where it ran' out || bad "no verdict ($how)"
        nothing_left
        n_rank=8
    done
    printf 'b\nc\n' >hosts # rank 0, and its report, are not where we are
    expect 0 launched $small
    grep -q '^VERIFIED' out || bad 'no report of another host'
    nothing_left
    # groups of gradients are none of those of hosts: what comes after the way back meets
    printf 'a:2\nb:2\n' >hosts
    n_rank=4
    expect 0 launched verify shadow-a --plan tp=1,dp=4,ep=4 --layers 2 --batch 4x11 --numerics exact,bf16 --grad
    grep -q '^VERIFIED' out || bad 'no verdict of gradients on two hosts'
    nothing_left
    n_rank=8
    printf '%s\n' a b c >hosts
}

# Agreed by ranks that are all there: they must leave MPI, too.
case_refused()
{
    sed 's/embedding: 1.5/embedding: 3e5/' "$here/../mutation/models/heads.yaml" >large.yaml
    n_rank=4
    for how in launched started; do
        expect 4 $how verify large.yaml --plan tp=2,ep=2,dp=2 --batch 4x11 --numerics exact --stall 5
        says 'rank 0: reference: layers.0.attn.norm: [0-9.]+ bits, 53 allowed'
        nothing_left
    done
    n_rank=8
}

# Proxies that stumble over a killed rank may end the others before these have said anything, or before it was passed on.
silenced() { [ $how = started ] && ! grep -q '^moeparity: rank' err; }

case_killed()
{
    for how in launched started; do
        for _ in 1 2 3; do
            hold 1 $how $small
            on b kill -KILL "$held"
            ended 5
            silenced || break
        done
        says '^moeparity: rank 1 \(pid [0-9]+ on b\) died; last seen: .*layers\.1\.attn_out'
        nothing_left
    done
}

case_stopped()
{
    for how in launched started; do
        hold 1 $how $small
        on b kill -STOP "$held"
        ended 5
        says 'rank 1 \(pid [0-9]+ on b\) is stopped; last seen: .*layers\.1\.attn_out'
        nothing_left
    done
}

case_cut()
{
    for how in launched started; do
        hold 1 $how $small
        sleep 1 # the hosts tell each other twice a second who is there
        cut_off c
        ended 5
        says '^moeparity: host c is not to be heard: ranks 2, 5'
        nothing_left
        mend c
        for _ in $(seq 50); do ping_middle && break; sleep 0.2; done
    done
}

# can c be reached again?
ping_middle() { on c bash -c 'exec 3<>/dev/tcp/10.9.0.1/9' 2>&1 | grep -q refused; }

case_signal()
{
    hold 1 launched $small
    kill -TERM $(pgrep -P $run || echo $run)
    ended 143
    says 'interrupted by signal 15'
    nothing_left
}

# The user's own mpiexec, of whom nobody of ours is there before all ranks have
# come together: they give up, and mpiexec ends with a code of its own.
case_absent()
{
    for gone in x c; do # no ssh knows x; c can be started, and not reached
        cut_off c
        expect 255 timeout 60 mpiexec -hosts a,b,$gone -n 8 "$program" $small
        [ "$(grep -c '^moeparity: not all of 8 ranks have come within 6 s' err)" = 1 ] || bad 'not one line of ours'
        nothing_left
        mend c
    done
    mkdir /tmp/here # on a alone
    cp "$program" /tmp/here/moeparity
    timeout 60 mpiexec -hosts a,b -n 8 /tmp/here/moeparity $small >out 2>err </dev/null
    case $? in 0 | 124) bad 'a host without the program' ;; esac
    grep -q 'execvp error on file /tmp/here/moeparity' err || bad 'not said by Hydra'
    rm -r /tmp/here
    nothing_left
    # it takes a host that is named twice, and fewer slots than ranks, as more ranks there
    expect 0 mpiexec -hosts a,b,a -n 8 "$program" $small --allow-partial
    expect 0 mpiexec -hosts a:2,b:3 -n 8 "$program" $small --allow-partial
    nothing_left
}

case_input()
{
    printf 'a\nx\n' >hosts
    expect 5 launched $small
    says 'ranks did not come within 5 s: .*ssh: Could not resolve hostname x'
    nothing_left
    printf 'a\nb\na\n' >hosts
    expect 3 launched $small
    says 'hosts:3: a is named twice'
    nothing_left
    printf 'a:2\nb:3\n' >hosts
    expect 3 launched $small
    says 'hosts: 5 slots for 8 ranks'
    nothing_left
    rm hosts
    expect 3 launched $small
    says 'hosts: No such file'
    printf '%s\n' a b c >hosts
    mkdir /tmp/here # on a alone
    cp "$program" /tmp/here/moeparity
    HYDRA_HOST_FILE=$work/hosts expect 5 /tmp/here/moeparity $small
    says '^moeparity: .*execvp error on file /tmp/here/moeparity'
    rm -r /tmp/here
    nothing_left
    mkdir /tmp/here
    cd /tmp/here || exit 1
    HYDRA_HOST_FILE=$work/hosts "$program" $small >"$work/out" 2>"$work/err"
    [ $? = 5 ] || bad 'a working folder that only one host has'
    cd "$work" || exit 1
    says 'unable to change wdir to /tmp/here'
    rm -r /tmp/here
    nothing_left
    printf '#!/bin/sh\nexec sleep 1000\n' >sleeper
    chmod +x sleeper
    MOEPARITY_MPIEXEC=$work/sleeper expect 5 "$program" $small
    says '8 of 8 ranks did not come within 5 s'
    nothing_left
}

[ $# -gt 0 ] || set -- absent verify refused killed stopped cut signal input
for case_name; do
    "case_$case_name"
done
[ $n_bad = 0 ] && echo 'all well on three hosts'
exit $n_bad
