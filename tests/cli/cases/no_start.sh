# Limits that the libraries meet before main, and those of a file's size while
# results are written: one line, and nothing half written.
plan="moeparity plan tp=2 --model shadow-a"
(ulimit -v 200000; OPENBLAS_NUM_THREADS=2 timeout 60 $plan >out 2>err)
[ $? = 4 ] || fail 'exit code of a start without room'
[ ! -s out ] && [ "$(wc -l <err)" = 1 ] || fail 'not one line'
has err '^moeparity: not enough memory to start: OpenBLAS takes 128 MiB of addresses for each of its threads'
(ulimit -v 1000000; OPENBLAS_NUM_THREADS=2 timeout 60 $plan >out 2>err) || fail 'room enough'
has out 'ranks'

# A limit of 4 KiB (and of 1 GiB, the twin).
tiny="moeparity verify shadow-a --plan tp=2 --numerics exact"
run="moeparity run -m shadow-a -p tp=2 -i $SELF/shadow-a/input.safetensors"
rm -f out err
limited() # KIB COMMAND...
{
    (ulimit -f "$1"; "${@:2}" >/dev/null 2>"$work/err")
}
work=$(mktemp -d)
for option in --json --events --trace; do
    limited 1048576 $tiny $option result || fail "$option: $(cat "$work/err")"
    rm result
done
for command in "moeparity predict shadow-a --plan tp=2 --json result" "moeparity predict shadow-a --plan tp=2 --trace result" \
    "moeparity report shadow-a --plan tp=2 --out result" "$run -o result"; do
    limited 1048576 $command || fail "$command: $(cat "$work/err")"
    rm result
    limited 4 $command
    [ $? = 4 ] || fail "exit code of $command: $(cat "$work/err")"
    [ "$(grep -c '^moeparity: ' "$work/err")" = 1 ] || fail "lines of $command: $(cat "$work/err")"
    [ -z "$(ls)" ] || fail "left by $command: $(ls)"
done
rm -r "$work"

# Started by an MPI that the program is not built with: ranks that are alone.
twice="moeparity verify shadow-a --plan tp=2 --numerics exact --layers 2 --batch 2x5"
OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 refused 2 \
    "Open MPI's mpiexec started 2 processes that do not know each other: it needs that of MPICH" $twice
OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 expect 2 $twice
[ ! -s err ] || fail 'both say it'
OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 expect 0 $twice --allow-partial
