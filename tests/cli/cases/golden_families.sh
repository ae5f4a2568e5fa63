# A bundle of every family's checkpoint, in three numerics; what a plan makes of
# it lies within; and a bundle that carries its weights is a checkpoint.
n=0
for family in qwen2_moe/sparse_step_tied_mqa gpt_oss/mxfp4 deepseek_v3/yarn_bf16 llama4/tiny phimoe/tiny jamba/tiny \
    minimax_m3_vl/blocks; do
    expect 0 moeparity golden make --model "$ORACLE/$family" --input "$ORACLE/$family/expected.safetensors" \
        --prompt 1 --numerics exact,fp32,bf16 --out gold
    expect 0 moeparity run --model "$ORACLE/$family" --input gold/input.safetensors --numerics fp32 \
        --plan tp=2,ep=2 --out dump.st
    expect 0 moeparity compare gold dump.st
    has out '^golden     gold, fp32;'
    expect 0 moeparity run --model "$ORACLE/$family" --input gold/input.safetensors --numerics bf16 --out dump.st
    expect 0 moeparity compare gold dump.st
    has out '^golden     gold, bf16;'
    expect 0 moeparity golden check gold --model "$ORACLE/$family"
    rm -r gold
    n=$((n + 1))
done
[ $n = 7 ] || fail "only $n families"

expect 0 moeparity golden make --model shadow-a --tokens 4x11 --parts 2 --export-weights --out gold
expect 0 moeparity golden check gold
has gold/config.json '"model_type": "moeparity"'
expect 0 moeparity run --model gold --input gold/input.safetensors --numerics exact --plan dp=2,tp=2,ep=2 --out dump.st
expect 0 moeparity compare gold dump.st
refused 2 'export-weights: .*tiny is a checkpoint already$' \
    moeparity golden make --model "$ORACLE/jamba/tiny" --tokens 2x5 --export-weights --out other
[ ! -e other ] || fail "a refusal made a folder"

# a model that drops tokens, and a dump with other token groups: the report says
# what that means; a model without a capacity gets no such line
expect 0 moeparity golden make --model shadow-a --tokens 4x11 --numerics fp32 --out one
expect 0 moeparity run --model shadow-a --input one/input.safetensors --numerics fp32 --plan dp=2 --out dump.st
expect 1 moeparity compare one dump.st
has out '^hint       the model drops tokens: a dump with other token groups'
expect 0 moeparity golden make --model "$ORACLE/phimoe/tiny" --tokens 2x5 --seed 1 --numerics fp32 --out other
expect 0 moeparity golden make --model "$ORACLE/phimoe/tiny" --tokens 2x5 --seed 2 --numerics fp32 --out dumped
expect 0 moeparity run --model "$ORACLE/phimoe/tiny" --input dumped/input.safetensors --numerics fp32 --out dump.st
expect 1 moeparity compare other dump.st
! grep -q '^hint' out || fail 'a hint on capacity for a model without one'
