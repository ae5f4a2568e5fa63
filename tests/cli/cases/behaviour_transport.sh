# What carries the messages changes no bit: memory of the host, or MPI; messages
# of several pieces too, and in either order of work.
#
# MPI cannot start over a network that it does not know, so a run over memory
# must not notice that, and one over MPI must.
export UCX_TLS=nothing
expect 0 moeparity verify shadow-a --plan tp=2 --numerics exact --layers 2 --batch 2x5 --allow-partial
MOEPARITY_TRANSPORT=mpi expect 5 moeparity verify shadow-a --plan tp=2 --layers 2 --batch 2x5
unset UCX_TLS

for numerics in exact fp32 bf16; do
    run=(moeparity run --model seed-mini --layers 4 --numerics $numerics --batch 4x256
        --plan tp=2,dp=2,pp=2,ep=4,mb=2)
    expect 0 "${run[@]}" --out memory.taps
    MOEPARITY_TRANSPORT=mpi expect 0 "${run[@]}" --out mpi.taps
    cmp memory.taps mpi.taps || fail "other bits over MPI: $numerics"
    rm memory.taps mpi.taps
done

# exact: each is the reference, bit by bit
for order in plan layers; do
    MOEPARITY_TRANSPORT=mpi expect 0 moeparity verify shadow-a --plan tp=2,pp=2,ep=2,mb=3 \
        --batch 6x11 --layers 3 --numerics exact --order $order --allow-partial
done
