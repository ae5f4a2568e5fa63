# The emulation of tp=2,ep=2 on every case of other people's numbers.
n=0
n_first=0
for folder in "$ORACLE"/*/*/; do
    expected=$folder/expected.safetensors
    plan=$(first_legal "$folder" tp=2,ep=2 tp=3,ep=3 dp=2,ep=2)
    [ "$plan" != tp=2,ep=2 ] || n_first=$((n_first + 1))
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st --plan "$plan"
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 100 ] && [ $n_first -ge 66 ] || fail "only $n cases, $n_first of them by tp"
