# Three stages of unequal length, experts spread over all of them and cut in
# columns, on every whole model of other people's numbers.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    expected=$folder/expected.safetensors
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st \
        --plan tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 19 ] || fail "only $n cases"
