# Dumps of llama.cpp and ONNX Runtime (tests/data/engines, by scripts/frameworks --engines), by --map llama and --map onnx: what they compute as the
# model says passes, with one value changed it does not; what they compute otherwise is found.
dumps=$DATA/engines

golden() # CASE
{
    rm -rf gold
    expect 0 moeparity golden make -m "$ORACLE/$1" -b 2x12 -n fp32 -o gold
    dump=$dumps/${1/\//__}
}

passes() # MAP, TENSOR behind layer 1: the dump does, and not with a value of the tensor changed
{
    expect 0 moeparity compare gold "$dump" --map "$1" --json out.json
    has out '^PASS '
    jq -e '.findings == []' out.json >/dev/null || fail "$dump: $(jq -c .findings out.json)"
    rm -rf changed
    cp -r "$dump" changed
    chmod -R u+w changed
    foreign edit changed/rank_00000.safetensors "$2" 'x[1, 11, 2] = 8 - x[1, 11, 2]'
    expect 1 moeparity compare gold changed --map "$1" --json changed.json
    jq -e '.first.tap == "p0.layers.1.out"' changed.json >/dev/null || fail "$dump: $(jq .first changed.json)"
}

for case in glm4_moe/tiny mixtral/leftpad granitemoe/biased; do
    golden $case
    passes llama l_out-1
    jq -e '[.routing[].same] | add > 0' out.json >/dev/null || fail "$case: $(jq -c .routing out.json)"
done

# MXFP4 meets activations in Q8_0: a golden with them holds the dump, one without does not
dump=$dumps/gpt_oss__mxfp4
expect 0 moeparity golden make --model "$dump.gguf" --act-quant -b 2x12 -n fp32 -o q8
expect 0 moeparity compare q8 "$dump" --map llama
has out '^PASS '
expect 0 moeparity golden make --model "$dump.gguf" -b 2x12 -n fp32 -o plain
expect 1 moeparity compare plain "$dump" --map llama --json out.json
jq -e '.first.tap == "p0.layers.0.ffn_out"' out.json >/dev/null || fail "$(jq .first out.json)"

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

onnx() # CASE VARIANT OPTIONS of the golden
{
    rm -rf gold
    expect 0 moeparity golden make -m "$ORACLE/$1" "${@:3}" -b 2x12 -n fp32 -o gold
    dump=$dumps/onnx/${1/\//__}$2
}

otherwise() # CHECKPOINT WORDS
{
    expect 1 moeparity compare gold "$dump" --map onnx --explain --model "$1"
    has out "^(explained  this dump is|or        ) the model with $2: no tap fails, observed / bound up to 0\.[0-9]"
}

onnx mixtral/tiny ''
passes onnx /model/layers.1/output_3
onnx mixtral/tiny --quantised --weights-bits 8
passes onnx /model/layers.1/output_3
onnx mixtral/tiny --quantised--unnormalised --weights-bits 8 --set renormalise=false
otherwise "$ORACLE/mixtral/tiny" 'renormalise=true'
onnx mixtral/tiny --gelu --set gated=false --set activation=gelu
otherwise "$ORACLE/mixtral/tiny" 'activation=gelu_tanh'
onnx phimoe/tiny ''
otherwise "$ORACLE/phimoe/tiny" 'router.scores=softmax_top'

# experts whose rows of the router are the same: all tokens tie
cp -r "$ORACLE/mixtral/tiny" tied
chmod -R u+w tied
for layer in 0 1 2 3; do
    foreign edit tied/model.safetensors model.layers.$layer.block_sparse_moe.gate.weight 'x = x[[0, 1, 2, 2, 2, 1, 0, 0]]'
done
rm -rf gold
expect 0 moeparity golden make -m tied -b 2x12 -n fp32 -o gold
dump=$dumps/onnx/mixtral__tiny--tied
otherwise tied 'equal scores to the highest expert'

# --- wrong dumps that are no model: nothing is offered, whatever the map

cat >spoil.py <<'END'
# spoil.py FILE SEED: noise, a factor, the row before, or another sign in all values of the layers, from the first or the second on
import re, sys
sys.path.insert(0, sys.argv[1])
import foreign
import numpy as np
path, seed = sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(seed)
tensors, meta = foreign.load(path)
for name, x in tensors.items():
    layer = re.search(r"\d+", name)
    if layer is None or int(layer[0]) < seed % 2 or x.dtype.kind != "f":
        continue
    if seed % 4 == 0:
        x = x * (1 + 0.02 * rng.uniform(-0.5, 0.5, x.shape))
    elif seed % 4 == 1:
        x = x * (1.1 + 0.3 * rng.uniform())
    elif seed % 4 == 2:
        x = np.concatenate([x[:, :1], x[:, :-1]], 1) + 0.01 * x
    else:
        x = np.where(np.arange(x.shape[-1]) % 3 == 1, -x, x)
    tensors[name] = x.astype(np.float32)
foreign.save(path, tensors, meta)
END

unexplained() # MAP, of the golden at hand and its dump: 10 wrong ones
{
    for seed in {1..10}; do
        rm -rf wrong
        cp -r "$dump" wrong
        chmod -R u+w wrong
        python3 spoil.py "$DATA/../cli" wrong/rank_00000.safetensors $seed
        expect 1 moeparity compare gold wrong --map "$1" --explain --model "$2" --json wrong.json
        jq -e '.explanation.models > 5 and .explanation.found == []' wrong.json >/dev/null ||
            fail "$1, seed $seed: $(jq -c .explanation wrong.json)"
    done
}

golden mixtral/leftpad
unexplained llama "$ORACLE/mixtral/leftpad"
onnx mixtral/tiny ''
unexplained onnx "$ORACLE/mixtral/tiny"
