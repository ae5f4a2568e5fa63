# Without room for the run's files: said before the run starts.  Needs folders
# of one megabyte in the places the launcher looks at, so a mount namespace;
# where that is not allowed only the second half is checked.
exec 9<"$(command -v moeparity)" # may lie below one of the mounts
small='for at in /dev/shm /tmp; do mount -t tmpfs -o size=1m none $at || exit 77; done
       export TMPDIR=/tmp MOEPARITY_RUN_DIR=/tmp
       exec /proc/self/fd/9 verify shadow-a --plan tp=2 --batch 40x11'
unshare -rm bash -c "$small" >out 2>err
code=$?
if [ $code = 4 ]; then
    [ ! -s out ] || fail 'a report of nothing'
    has err "^moeparity: no room for the run's files: [0-9.]+ MiB needed; /tmp: "
else
    [ $code = 77 ] || grep -q '^unshare: ' err || fail "exit $code without room"
    echo 'NOT RUN: no mount namespace' >&2
fi

# A place that does not serve is passed over.
export MOEPARITY_RUN_DIR=/proc TMPDIR=$PWD/none
expect 0 moeparity verify shadow-a --plan tp=2
