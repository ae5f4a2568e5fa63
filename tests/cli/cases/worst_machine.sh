# A machine at its worst that still has what a run needs: the verdict is as ever.
plan="--plan tp=2,dp=2,ep=2,etp=2,mb=2 --batch 8x11 --numerics exact"
not_run() { echo "NOT RUN: $*" >&2; }
same() # COMMAND...: says what the run says that nothing disturbs, but for its time
{
    expect 0 "$@"
    ! grep -v '^moeparity: about [0-9]' err || fail "words on stderr: $*"
    calm out | cmp -s - "$work/calm" || fail "another report: $*"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect 0 moeparity verify shadow-a $plan
calm out >"$work/calm"

# One processor for eight ranks.
same taskset -c "$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')" moeparity verify shadow-a $plan

# No process may look into another: not the transport of MPI either.
forbid="python3 $DATA/../cli/no_peeking.py"
if $forbid true; then
    same $forbid moeparity verify shadow-a $plan
    same env MOEPARITY_TRANSPORT=mpi $forbid moeparity verify shadow-a $plan
else
    not_run 'no filters of system calls'
fi

# The clock of the day jumps by days.
if [ -n "${JUMPING_CLOCK-}" ]; then
    [ "$(LD_PRELOAD=$JUMPING_CLOCK date +%F)" != "$(date +%F)" ] || fail 'the clock does not jump'
    same env LD_PRELOAD="$JUMPING_CLOCK" moeparity verify shadow-a $plan --stall 5
else
    not_run 'no clock to preload'
fi

# 20 MB of /dev/shm, less than the buffers of eight ranks of MPI.
exec 9<"$(command -v moeparity)" # may lie below one of the mounts
small='mount -t tmpfs -o size=20m none /dev/shm || exit 77
       MOEPARITY_TRANSPORT=mpi exec /proc/self/fd/9 "$@"'
if unshare -rm bash -c 'mount -t tmpfs none /dev/shm' 2>err; then
    same unshare -rm bash -c "$small" - verify shadow-a $plan
else
    not_run 'no mount namespace'
fi

# Two runs at once that write to one place: each has its verdict, the file is that of one of them.
moeparity verify shadow-a $plan --json both.json >one 2>&1 &
same moeparity verify shadow-a $plan --json both.json
wait $! || fail "the other run: $(cat one)"
grep -v '^moeparity: about [0-9]' one >two; calm two | cmp -s - "$work/calm" || fail 'another report of the other run'
jq -e '.verdict == "VERIFIED"' both.json >/dev/null || fail 'half a report of both'
[ "$(ls | sort | xargs)" = 'both.json err one out two' ] || fail "files: $(ls)"
