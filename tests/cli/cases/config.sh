# A config.json alone is a model; a key that nobody reads is refused wherever a
# model is opened, and --ignore-key goes on without it.
mkdir plain odd weights
cat >plain/config.json <<'EOF'
{"model_type": "qwen3_moe", "hidden_size": 16, "num_attention_heads": 2,
 "num_key_value_heads": 2, "head_dim": 8, "num_hidden_layers": 2,
 "vocab_size": 24, "num_experts": 4, "num_experts_per_tok": 2,
 "moe_intermediate_size": 8, "rope_theta": 1e4}
EOF
sed 's/^{/{"swiglu_limit": 7.0, /' plain/config.json >odd/config.json
cp plain/config.json weights/
: >weights/pytorch_model.bin

expect 0 moeparity spec plain
has out '^defaults   of the class in transformers 5, .*rms_norm_eps 1e-0?6'
has out '^here       2 of 2 layers fit into memory at full width'
has out '^           2 in about 0 s: moeparity verify plain --plan tp=2,ep=2$'
expect 0 moeparity spec "$DATA/kimi_k3"
has out '^defaults   of the published model, which has no class, not in the file: attention_bias false$'
expect 0 moeparity spec --families
has out '^[|] qwen3_moe [|]'
has out '^[|] longcat_flash [|] two attentions'

alone='^config     plain/config.json alone: weights are procedural, seed 5, in'
first() # REGEX: the first line of stdout
{
    head -1 out | grep -Eq -- "$1" || fail "first line: expected $1"
}
expect 0 moeparity verify plain --seed 5 --plan tp=2 --batch 2x8
first "$alone the layout of qwen3_moe$"
has out '^weights    procedural, seed 5$'
has out '^VERIFIED'
expect 0 moeparity run --model plain --seed 5 --batch 1x4 --out run.st
first "$alone"
expect 0 moeparity golden make --model plain --seed 5 --batch 1x8 --out bundle
first "$alone"
expect 0 moeparity golden check bundle
expect 0 moeparity predict plain --plan tp=2 --batch 2x8
first '^config     plain/config.json alone: a prediction needs no weights$'
expect 0 moeparity search plain --machine gpu-400t-64g --gpus 2 --batch 2x8
first '^config     plain/config.json alone: a search needs no weights$'
refused 3 'weights: neither model.safetensors nor ' moeparity run \
    --model weights --batch 1x4 --out other.st

odd='odd/config.json: swiglu_limit: not read for model_type qwen3_moe'
cat >claims.yaml <<'EOF'
document: ours
model: odd
claims:
  - {id: tp, quantity: tp, value: 2}
EOF
while read -r command <&3; do
    refused 3 "$odd" moeparity $command
    moeparity $command --ignore-key swiglu_limit >out 2>err
    [ $? -le 1 ] || fail "$command --ignore-key swiglu_limit"
done 3<<'EOF'
spec odd
verify odd --plan tp=2 --batch 2x8 --numerics exact
run --model odd --batch 1x4 --out odd.st
golden make --model odd --batch 1x8 --out odd_bundle
plan --model odd tp=2
plan odd --gpus 2
predict odd --plan tp=2 --batch 2x8
audit claims.yaml
search odd --machine gpu-400t-64g --gpus 2 --batch 2x8
EOF
expect 0 moeparity spec odd --ignore-key swiglu_limit
has out '^ignored    swiglu_limit$'
