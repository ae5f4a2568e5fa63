#!/bin/sh
# tests/unit/test_comm_faults.sh DRIVER -- what the launcher says about bad runs.
#
# For every fault that fault_driver knows: the exit code, exactly one line on
# stderr and what it says, nothing on stdout of a run that failed, no process
# and no run folder left behind.  The healthy runs are the controls: a slow rank
# computes for twice the stall limit and must not be blamed.
set -u
driver=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MOEPARITY_RUN_DIR=$work/run
export MOEPARITY_RUN_DIR
mkdir "$MOEPARITY_RUN_DIR"
n_bad=0

bad()
{
    echo "FAILED $1: $2"
    cat "$work/err"
    n_bad=$((n_bad + 1))
}

# Processes of a run: their arguments hold its token (grep's own do not).
n_left()
{
    grep -ls "[t]${1#t}" /proc/[0-9]*/cmdline | wc -l
}

# Wait until launcher, mpiexec and four ranks are there, at most 20 s.
wait_for_start()
{
    for _ in $(seq 200); do
        [ "$(n_left "$1")" -ge 6 ] && return
        sleep 0.1
    done
    bad start "only $(n_left "$1") processes of $1"
}

nothing_left() # NAME TOKEN
{
    [ "$(n_left "$2")" = 0 ] || bad "$1" "$(n_left "$2") processes left"
    [ -z "$(ls -A "$MOEPARITY_RUN_DIR")" ] || bad "$1" "run folder left"
}

# expect FAULT EXIT_CODE REGEX-OF-THE-ONE-LINE STDOUT
expect()
{
    token=token-$1-$$
    "$driver" "$1" "$token" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ $code = "$2" ] || bad "$1" "exit code $code, expected $2"
    [ "$(cat "$work/out")" = "$4" ] || bad "$1" "stdout '$(cat "$work/out")'"
    if [ -n "$3" ]; then
        grep -Eq "$3" "$work/err" || bad "$1" "expected /$3/"
        [ "$(wc -l <"$work/err")" = 1 ] || bad "$1" "more than one line"
    else
        [ ! -s "$work/err" ] || bad "$1" "expected silence"
    fi
    nothing_left "$1" "$token"
}

where='layers\.3\.attn_out, tick 3'
expect none 0 '' 'all well'
expect slow 0 '' 'all well'
expect fail 3 '^rank 2: no such file, and 1 more rank$' ''
expect differs 1 '^not the same$' ''
expect abort 4 '^moeparity: rank 2 needs 54 bits$' ''
expect cut 3 '^moeparity: .*/cut: cut short while it was read$' ''
expect kill 5 "^moeparity: rank 2 \(pid [0-9]+\) died; .*$where" ''
expect exit 5 "^moeparity: rank 2 \(pid [0-9]+\) died; .*$where" ''
expect stop 5 "rank 2 \(pid [0-9]+\) is stopped; .*$where" ''
expect sleep 5 "rank 2 \(pid [0-9]+\) uses no processor time; .*$where" ''
expect mismatch 5 'members of pair are in different operations' ''
grep -q 'rank 2 .*all-gather' "$work/err" || bad mismatch 'rank 2 is not named'
expect crossed 5 'rank 2 waits in all-reduce over world for rank [013]' ''

# A crash shows what the rank said, too.
token=token-crash-$$
"$driver" crash $token >"$work/out" 2>"$work/err" </dev/null
code=$?
[ $code = 5 ] || bad crash "exit code $code"
head -n 1 "$work/err" | grep -Eq '^moeparity: rank 2 \(pid [0-9]+\) died' ||
    bad crash 'rank 2 is not named'
grep -q 'internal error: .* does not hold' "$work/err" || bad crash 'no log'
nothing_left crash $token

# mpiexec that cannot be started, and one that starts nothing.
MOEPARITY_MPIEXEC=$work/none "$driver" none x >"$work/out" 2>"$work/err"
[ $? = 3 ] && grep -q "mpiexec '$work/none' cannot be started" "$work/err" ||
    bad mpiexec 'a missing one'
MOEPARITY_MPIEXEC=false "$driver" none x >"$work/out" 2>"$work/err"
[ $? = 5 ] && grep -q 'mpiexec started no rank' "$work/err" ||
    bad mpiexec 'a useless one'

# SIGTERM: 143, and nothing left.
token=token-int-$$
"$driver" sleep $token >"$work/out" 2>"$work/err" &
pid=$!
wait_for_start $token
kill -TERM $pid
wait $pid
code=$?
[ $code = 143 ] || bad interrupt "exit code $code, expected 143"
nothing_left interrupt $token

# A launcher that is killed takes everything with it but its folder.
token=token-kill9-$$
"$driver" sleep $token >"$work/out" 2>"$work/err" &
pid=$!
wait_for_start $token
kill -KILL $pid
wait $pid 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(n_left $token)" = 0 ] && break
    sleep 0.3
done
[ "$(n_left $token)" = 0 ] || bad 'killed launcher' 'processes left'

[ $n_bad = 0 ] && echo "all faults found"
exit $n_bad
