# Limits below what a run needs: it ends in one line with exit code 4, and leaves nothing (the runner looks); with more room it ends with its verdict.
tiny="moeparity verify shadow-a --plan tp=2 --numerics exact"
n_refused=0
limited() # WHAT NUMBER [AS_WHOM]...: the run under that limit has its verdict, or is refused
{
    "${@:3}" timeout 60 prlimit "--$1=$2" $tiny >out 2>err
    code=$?
    [ $code = 0 ] || one_error 4 .
    n_refused=$((n_refused + (code == 4)))
}

# Descriptors: below 20 a process has no room for the libraries and the launcher.
for n in 6 8 10 12 14 16 18 20; do
    limited nofile $n
done
[ $n_refused -gt 0 ] || fail 'no limit of descriptors was too low'
limited nofile 64
[ $code = 0 ] || fail '64 descriptors'

# Processes, of which root may have as many as it likes: as somebody who has none.
somebody="setpriv --reuid=$((60000 + $$ % 5000)) --regid=65534 --clear-groups"
chmod 711 "$(dirname "$MOEPARITY_RUN_DIR")" && chmod 777 "$MOEPARITY_RUN_DIR" "$TMPDIR"
if $somebody $tiny >out 2>err; then
    n_refused=0
    for n in 1 2; do # with room for mpiexec, but not for what it starts, Hydra 4.0.2 tries for ever
        limited nproc $n $somebody
        [ $code = 4 ] || fail "$n processes are enough"
    done
    limited nproc 64 $somebody
    [ $code = 0 ] || fail '64 processes'
else
    echo 'NOT RUN: nobody but root can run the program here' >&2
fi
