# A type of values has several names: each command that takes one takes them all, and prints one name.
mini='shadow-a --machine gpu-400t-64g --plan dp=2,ep=2'
each()
{
    printed=$1
    shift
    for word in "$@"; do
        expect 0 moeparity predict $mini --batch 8x8 --dtype "$word"
        has out "^machine .*, $printed$"
        expect 0 moeparity search ${mini% --plan*} --gpus 2 --batch 8x8 --dtype "$word"
        has out ", $printed$"
        if command -v gnuplot >/dev/null; then
            expect 0 moeparity report $mini --batch 8x8 --gpus 2 --dtype "$word" --out page.html
            has page.html " in $printed, plan "
        fi
    done
}
each F16 f16 F16 fp16 FP16 float16 half
each BF16 bf16 BF16 bfloat16
each F32 f32 F32 fp32 float32 float
each F64 f64 F64 fp64 float64 double
# what is of which type: weights, cache and results each take their own bytes
memory()
{
    expect 0 moeparity predict $mini --decode --kv 512 --batch 8 --dtype "$1" --json p.json
    jq -r '.memory[0] | "\(.weights) \(.kv) \(.activations)"' p.json
}
read -r w16 kv16 x16 < <(memory bf16)
read -r w32 kv32 x32 < <(memory fp32)
for pair in "$w16 $w32" "$kv16 $kv32" "$x16 $x32"; do
    awk '{exit !($2 == 2 * $1)}' <<<"$pair" || fail "bf16 and fp32: $pair"
done
[ "$(memory llama-default)" = "$w16 $kv16 $x32" ] || fail "llama-default: $(memory llama-default)"
[ "$(memory fp32+kv=half)" = "$w32 $kv16 $x32" ] || fail "fp32+kv=half: $(memory fp32+kv=half)"
expect 0 moeparity predict $mini --batch 8x8 --dtype w=bf16+act=bf16+kv=f16+acc=fp32+residual=fp32
has out '^machine .*, llama-no-flash$'
refused 2 "numerics: 'cache=f16' is no slot=type; the slots are w, act, .*" \
    moeparity predict $mini --batch 8x8 --dtype bf16+cache=f16
for command in "predict $mini" "report $mini" "search ${mini% --plan*} --gpus 2 --batch 8x8"; do
    for word in f17 fp9 int7 ''; do
        refused 2 "dtype: expected f16, bf16, f32, f64, fp8, .*, found '$word'" moeparity $command --dtype "$word"
    done
done

# numerics are types, too, and exact
for word in fp32 f32 float32 FLOAT; do
    expect 0 moeparity run -m shadow-a --layers 1 -b 1x2 -n "$word" -o "$word.st"
    header "$word.st" | jq -e '.__metadata__.numerics == "fp32"' >/dev/null || fail "$word"
done
expect 0 moeparity golden make -m shadow-a --layers 1 -b 1x2 -n double,bfloat16,half -o gold
[ -f gold/fp64.safetensors ] && [ -f gold/bf16.safetensors ] && [ -f gold/fp16.safetensors ] || fail "$(ls gold)"
expect 0 moeparity compare gold gold --numerics float64
expect 0 moeparity verify shadow-a --layers 1 --plan tp=2 --numerics f32
has out fp32
refused 2 "numerics: expected exact, fp64, fp32, fp16, bf16, .*, found 'quarter'" moeparity run -m shadow-a -b 1x2 -n quarter -o x.st
