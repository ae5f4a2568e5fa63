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
    for n in 1 2 3 4 5 6; do # timeout, the launcher and a thread of it, mpiexec, Hydra's process and two ranks are seven
        limited nproc $n env OPENBLAS_NUM_THREADS=1 $somebody
        one_error 4 'not enough processes '
    done
    has err 'for mpiexec and 2 ranks: raise the limit \(ulimit -u\)$'
    limited nproc 2 env OPENBLAS_NUM_THREADS=9 $somebody
    one_error 4 'not enough processes to start: OpenBLAS'
    limited nproc 64 $somebody
    [ $code = 0 ] || fail '64 processes'
else
    echo 'NOT RUN: nobody but root can run the program here' >&2
fi
