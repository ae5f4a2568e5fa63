# A bundle of every family's checkpoint, in three numerics; what a plan makes of
# it lies within; and a bundle that carries its weights is a checkpoint.
n=0
for family in qwen2_moe/sparse_step_tied_mqa gpt_oss/mxfp4 deepseek_v3/yarn_bf16 llama4/tiny phimoe/tiny jamba/tiny; do
    expect 0 moeparity golden make --model "$ORACLE/$family" --input "$ORACLE/$family/expected.safetensors" \
        --prompt 1 --numerics exact,fp32,bf16 --out gold
    expect 0 moeparity run --model "$ORACLE/$family" --input gold/input.safetensors --numerics fp32 \
        --plan tp=2,ep=2 --out dump.st
    expect 0 moeparity compare gold dump.st
    has out '^golden     gold, fp32;'
    expect 0 moeparity run --model "$ORACLE/$family" --input gold/input.safetensors --numerics bf16 --out dump.st
    expect 0 moeparity compare gold dump.st
    has out '^golden     gold, bf16;'
    expect 0 moeparity golden check gold
    rm -r gold
    n=$((n + 1))
done
[ $n = 6 ] || fail "only $n families"

expect 0 moeparity golden make --model shadow-a --tokens 4x11 --parts 2 --export-weights --out gold
expect 0 moeparity golden check gold
has gold/config.json '"model_type": "moeparity"'
expect 0 moeparity run --model gold --input gold/input.safetensors --numerics exact --plan dp=2,tp=2,ep=2 --out dump.st
expect 0 moeparity compare gold dump.st
refused 2 'export-weights: .*tiny is a checkpoint already$' \
    moeparity golden make --model "$ORACLE/jamba/tiny" --tokens 2x5 --export-weights --out other
[ ! -e other ] || fail "a refusal made a folder"
