# Dumps of llama.cpp (tests/data/engines, by scripts/engines), by --map llama: what it computes as the model says passes, with one
# value changed it does not; what it computes otherwise is found.
dumps=$DATA/engines

golden() # CASE
{
    rm -rf gold
    expect 0 moeparity golden make -m "$ORACLE/$1" -b 2x12 -n fp32 -o gold
    dump=$dumps/${1/\//__}
}

for case in glm4_moe/tiny mixtral/leftpad granitemoe/biased; do
    golden $case
    expect 0 moeparity compare gold "$dump" --map llama --json out.json
    has out '^PASS '
    jq -e '([.routing[].same] | add > 0) and .findings == []' out.json >/dev/null ||
        fail "$case: $(jq -c '.findings, .routing' out.json)"
    rm -rf changed
    cp -r "$dump" changed
    chmod -R u+w changed
    foreign edit changed/rank_00000.safetensors l_out-1 'x[1, 11, 2] = 8 - x[1, 11, 2]'
    expect 1 moeparity compare gold changed --map llama --json out.json
    jq -e '.first.tap == "p0.layers.1.out"' out.json >/dev/null || fail "$case: $(jq .first out.json)"
done

# a name of llama.cpp's among those of another
foreign hf gold/fp32.safetensors hf.st
expect 0 moeparity compare gold hf.st --map hf
edit hf.st '"model.norm"' '"ffn_out-10"'
refused 3 "hf.st: 'ffn_out-10' is a name of --map llama, others are of --map hf: expected names of one kind" \
    moeparity compare gold hf.st --map hf

explained() # CASE WORDS
{
    golden "$1"
    expect 1 moeparity compare gold "$dump" --map llama --explain --model "$ORACLE/$1"
    has out "^explained  this dump is the model with $2: no tap fails, observed / bound up to 0\\.[0-9]"
}

explained deepseek_v2/grouped_yarn 'rope.attention_factor=1 and router.group_score=best_two'
explained deepseek_v3/yarn_bf16 'router.scores=softmax'
explained llama4/tiny 'positions=\[rope, rope, rope, none\] and attention.temper_scale=0'
explained phimoe/tiny 'LayerNorm without subtracting the mean and router.scores=softmax_top'
explained mixtral/window_top1_yarn 'sliding_window=0'
