# An mpiexec of another MPI, whose ranks do not know that they are: it is named.  The stub does what Open MPI's does; the real one where it is installed.
cat >stub <<'END'
#!/bin/sh
if [ "$1" = --version ]; then echo 'mpiexec (OpenRTE) 4.1.4'; exit; fi
n=$2
shift 2
tasks= code=0
for i in $(seq "$n"); do
    OMPI_COMM_WORLD_RANK=$((i - 1)) OMPI_COMM_WORLD_SIZE=$n "$@" &
    tasks="$tasks $!"
done
for task in $tasks; do wait $task || code=$?; done
exit $code
END
printf '#!/bin/sh\nexec mpiexec "$@"\n' >ours
chmod +x stub ours
tiny="moeparity verify shadow-a --plan tp=2 --numerics exact"
named="mpiexec is another MPI's: expected that of MPICH [0-9.]+, found '[^']*(Open MPI|OpenRTE)[^']*' \\(MOEPARITY_MPIEXEC=PROGRAM takes another\\)$"
other() # MPIEXEC
{
    MOEPARITY_MPIEXEC=$1 $tiny >out 2>err
    code=$?
    one_error 4 "$named"
}
expect 0 env MOEPARITY_MPIEXEC="$PWD/ours" $tiny
other "$PWD/stub"
refused 2 "Open MPI's mpiexec started 2 processes that do not know each other: it needs that of MPICH$" ./stub -n 2 $tiny

mpiexec=$(command -v mpiexec.openmpi) || {
    echo 'NOT RUN: no mpiexec.openmpi' >&2
    exit 0
}
other "$mpiexec"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
other "$mpiexec"
expect 2 "$mpiexec" -n 2 $tiny
[ ! -s out ] || fail 'a report of ranks that are alone'
[ "$(grep -c '^moeparity: ' err)" = 1 ] || fail 'not one line of ours among those of Open MPI'
has err "^moeparity: Open MPI's mpiexec started 2 processes that do not know each other: it needs that of MPICH$"
