# Stages of unequal length, experts spread over all of them and cut in columns,
# on every whole model of other people's numbers.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    expected=$folder/expected.safetensors
    plan=tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2
    [[ $folder != */leftpad/ ]] || plan=tp=2,pp=2,ep=2,etp=2,scope=replica,mb=2 # two layers
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st --plan $plan
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 19 ] || fail "only $n cases"
