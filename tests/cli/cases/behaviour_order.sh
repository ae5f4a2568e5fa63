# The order of work: as the plan says, or layer by layer.  Both are right, and a
# run that shows its schedule shows the plan's.
run=(moeparity verify shadow-a --plan tp=2,pp=2,ep=2,mb=3 --batch 6x11 --layers 3)
together="in order of layers: a stage's 3 micro-batches together"

expect 0 "${run[@]}" --allow-partial --order layers
has out "$together"
expect 0 "${run[@]}" --allow-partial --order plan
! grep -q 'in order of layers' out || fail 'the plan has another order'

refused 2 "--order: expected plan or layers, found 'layer'" "${run[@]}" --order layer
for file in events trace; do
    refused 2 "--order layers: --events and --trace are of the plan's own schedule" \
        "${run[@]}" --order layers --$file t.json
    [ ! -e t.json ] || fail "a file of a run that was refused"
    expect 0 "${run[@]}" --allow-partial --order plan --$file t.json
    rm t.json
done
