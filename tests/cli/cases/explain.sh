# compare --explain: the causes that were found in llama.cpp and ONNX Runtime by
# hand (docs/explain.md), found by itself.

# explained MODEL "SETS of the dump" WORDS [SET of both]
explained()
{
    local both=(${4:+--set "$4"}) sets=() set
    for set in $2; do sets+=(--set "$set"); done
    rm -rf gold
    expect 0 moeparity golden make -m "$1" "${both[@]}" -b 2x14 -n fp32 -o gold
    expect 0 moeparity run -m "$1" "${both[@]}" "${sets[@]}" -i gold/input.safetensors -n fp32 -o dump.st
    expect 1 moeparity compare gold dump.st --explain --model "$1" --json out.json
    has out "^explained  this dump is the model with $3: no tap fails, observed / bound up to "
    jq -e '.explanation.found | length > 0' out.json >/dev/null || fail 'out.json'
}

explained "$ORACLE/gpt_oss/mxfp4" rope.truncate=true 'rope.truncate=true' rope.original_positions=2000
explained "$ORACLE/mixtral/window_top1_yarn" sliding_window=0 'sliding_window=0'
explained "$ORACLE/qwen2_moe/unbiased" renormalise=true 'renormalise=true'
explained "$ORACLE/deepseek_v2/grouped_yarn" 'router.group_score=best_two rope.attention_factor=1 attention.scale=0' \
    '.*router.group_score=best_two.*'
explained "$ORACLE/phimoe/tiny" 'norm=rms router.scores=softmax_top' 'norm=rms and router.scores=softmax_top'
explained "$ORACLE/llama4/tiny" 'chunk=8192 attention.temper_floor=8192' '.*chunk=8192.*'
explained shadow-b activation=gelu_tanh 'activation=gelu_tanh'

# what passes is not asked about; what no row is, and what cannot be tried, is said
expect 0 moeparity run -m shadow-b -i gold/input.safetensors -n fp32 -o dump.st
expect 0 moeparity compare gold dump.st --explain
! grep -q '^expla' out || fail 'an explanation of what agrees'
expect 0 moeparity run -m shadow-b --seed 2 -i gold/input.safetensors -n fp32 -o dump.st
expect 1 moeparity compare gold dump.st --explain
has out '^explain    no explanation: none of [0-9]+ other models and [0-9]+ pairs of them is this dump$'
expect 0 moeparity golden make -m "$ORACLE/phimoe/tiny" -b 1x6 -n fp32 -o far
expect 0 moeparity run -m "$ORACLE/phimoe/tiny" --set norm=rms -i far/input.safetensors -n fp32 -o dump.st
expect 1 moeparity compare far dump.st --explain
has out '^explain    nothing tried: far: made from checkpoint tiny, which is not beside it; --model says where it is$'
expect 1 moeparity compare far dump.st --explain --model "$ORACLE/phimoe/window"
has out '^explain    nothing tried: '
expect 2 moeparity compare far dump.st --model "$ORACLE/phimoe/tiny"
has err 'belongs to --explain'
