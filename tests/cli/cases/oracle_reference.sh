# The reference on every case of other people's numbers.
n=0
for folder in "$ORACLE"/*/*/; do
    expected=$folder/expected.safetensors
    expect 0 moeparity run --model "$folder" --input "$expected" --out out.st
    expect 0 moeparity compare "$expected" out.st
    has out '^SAME$'
    n=$((n + 1))
done
[ $n -ge 100 ] || fail "only $n cases"
