# The emulation of dp=2,ep=2,pp=2 on every whole model of other people's numbers.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue # one layer cannot be split
    expected=$folder/expected.safetensors
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st --plan dp=2,ep=2,pp=2
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 97 ] || fail "only $n cases"
