# Dumps of published frameworks (tests/data/dumps, by scripts/frameworks), one of
# each layout: each is what its golden says, and with one value changed it is not.
dumps=$DATA/dumps
ln -s "$dumps"/* .

expect 0 moeparity golden check ./*/golden
n=0
for dump in */transformers-* */torch-* */megatron-core-* */deepspeed-* */maxtext-*; do
    golden=${dump%/*}/golden
    names=()
    case ${dump##*/} in *-layer*) names=(--map "${dump%/*}/ffn.yaml") ;; esac
    expect 0 moeparity compare "$golden" "$dump" "${names[@]}" --json out.json
    has out '^PASS '
    jq -e '.findings == [] and ([.routing[].same] | add > 0)' out.json >/dev/null ||
        fail "$dump: $(jq -c '.findings, .routing' out.json)"

    rm -rf changed
    cp -r "$dump" changed
    chmod -R u+w changed
    last=$(ls -d changed/rank_* | tail -1)
    foreign edit "$last" p0.layers.1.ffn_out 'x[0, 1, 2] = 8 - x[0, 1, 2]'
    expect 1 moeparity compare "$golden" changed "${names[@]}" --json out.json
    jq -e '.first.tap == "p0.layers.1.ffn_out"' out.json >/dev/null ||
        fail "$dump: first at $(jq .first.tap out.json)"
    n=$((n + 1))
done
[ $n -ge 18 ] || fail "only $n dumps"

# --- what is refused, each beside its right twin above ---

four=qwen2_moe/transformers-5.24.0-tp4
change() # REGEX REPLACEMENT: in the header of rank 2 of ./changed
{
    rm -rf changed
    cp -r "$four" changed
    chmod -R u+w changed
    edit changed/rank_00002.safetensors "$1" "$2"
}

refused 3 'rank_00000.safetensors: was recorded for another model: expected weights_xxh3 [0-9a-f]+, as in olmoe/golden/manifest.json, found ' \
    moeparity compare olmoe/golden "$four"
expect 0 moeparity golden make -m qwen2_moe/qwen2_moe.yaml --tokens 4x4 --seed 2 \
    --numerics fp32 -o seed2
jq --slurpfile first qwen2_moe/golden/manifest.json '.weights = $first[0].weights' \
    seed2/manifest.json >manifest && mv manifest seed2/manifest.json
refused 3 'rank_00000.safetensors: was recorded for another prompt: expected input_xxh3 ' \
    moeparity compare seed2 "$four"
change 'weights_xxh3": "[0-9a-f]\{4\}' 'weights_xxh3": "0000'
refused 3 'rank_00002.safetensors: was recorded for another model: ' moeparity compare qwen2_moe/golden changed
change '"capture": "1' '"capture": "0'
refused 3 "rank_00002.safetensors: metadata 'capture': expected 1.0 as in rank_00000.safetensors, found 0.0" \
    moeparity compare qwen2_moe/golden changed
change '"capture": ' '"picture": '
refused 3 "rank_00002.safetensors: metadata 'capture': expected 1.0 as in rank_00000.safetensors, found none" \
    moeparity compare qwen2_moe/golden changed
change '"world": "4' '"world": "2'
refused 3 "rank_00002.safetensors: metadata 'world': expected 4 as in another file, found 2" \
    moeparity compare qwen2_moe/golden changed

# columns of another rank
rm -rf changed && cp -r glm4_moe/torch-2.13.0-dtensor4 changed && chmod -R u+w changed
edit changed/rank_00002.safetensors '0:4,0:4,32:48' '0:4,0:4,16:32'
expect 1 moeparity compare glm4_moe/golden changed
has out 'missing .*p0.logits: .*column 32'

# half written
rm -rf changed && cp -r "$four" changed && chmod -R u+w changed
truncate -s -100 changed/rank_00002.safetensors
refused 3 'rank_00002.safetensors' moeparity compare qwen2_moe/golden changed
# fewer ranks
rm changed/rank_00002.safetensors
expect 1 moeparity compare qwen2_moe/golden changed
has out "expected 4 ranks, found 3; the first that is missing is rank 2"
# names of two frameworks
change 'p0.layers.0.attn_out"' 'decoder.layers.0.mlp"'
refused 3 "rank_00002.safetensors: 'decoder.layers.0.mlp' is a name of --map megatron, others are of no --map" \
    moeparity compare qwen2_moe/golden changed
