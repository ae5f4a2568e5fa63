# Plans of every whole model, verified through its grid twin.  A bound of a sum
# of four terms may be half used up: that is MARGINAL, and verified.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    expect 0 moeparity verify "$folder" --plan dp=2,ep=2,pp=2 \
        --plan "$(first_legal "$folder" tp=2,ep=2 tp=3,ep=3 dp=3,ep=3)" --numerics exact,fp32,fp64
    has out '^exact      PASS'
    has out '^fp64       (PASS|MARGINAL)$'
    has out '^VERIFIED   bit-identical, and fp32 and fp64 within bounds'
    has out "checkpoint .*$(basename "$folder").* \(exact mode: its grid twin\)$"
    n=$((n + 1))
done
[ $n -ge 97 ] || fail "only $n models"
