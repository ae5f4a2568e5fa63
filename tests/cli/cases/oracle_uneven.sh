# Stages of unequal length, experts spread over all of them and cut in columns,
# on every whole model of other people's numbers.
n=0
n_first=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    expected=$folder/expected.safetensors
    # three stages; two of models with two layers; without tp where that cannot cut
    plan=$(first_legal "$folder" tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2 tp=2,pp=2,ep=2,etp=2,scope=replica,mb=2 \
        tp=3,pp=2,ep=3,etp=2,scope=replica,mb=2 pp=3,ep=3,scope=replica,mb=2 pp=2,ep=2,scope=replica,mb=2)
    [[ $plan != tp=2,pp=3,* ]] || n_first=$((n_first + 1))
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st --plan $plan
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 97 ] && [ $n_first -ge 35 ] || fail "only $n cases, $n_first in three stages"
