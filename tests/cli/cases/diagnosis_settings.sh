# What a difference looks like that a run of the bundle's model with another
# setting makes.
expect 0 moeparity golden make --model shadow-a --layers 2 --tokens 4x10 --seed 3 --numerics fp32 --out gold
expect 0 moeparity spec shadow-a --yaml
cp out right.yaml
setting()
{
    sed "$2" right.yaml >wrong.yaml
    ! cmp -s right.yaml wrong.yaml || fail "no $2"
    expect 0 moeparity run -m wrong.yaml --layers 2 -i gold/input.safetensors --numerics fp32 --seed 3 -o wrong.st
    expect 1 moeparity compare gold wrong.st
    has out "^    (looks like|or        ) $1"
}
setting 'what the model gives with activation gelu_tanh' 's/activation: silu/activation: gelu_tanh/'
setting 'what the model gives with activation gelu \(erf\)' 's/activation: silu/activation: gelu/'
setting 'what the model gives with rope in the other pairs' 's/  theta: 10000/&\n  interleaved: true/'
setting "what the model gives with rope's theta 5e5" 's/theta: 10000/theta: 500000/'
setting 'what the model gives with norm eps 1e-3' 's/norm_eps: .*/norm_eps: 0.001/'
setting 'weights not divided by their sum' 's/renormalise: true/renormalise: false/'
setting "what the model gives with no bias of the attention's output" 's/attention_out: true/attention_out: false/'
has out '^    looks like layers\.0\.attn\.o_bias is missing '
setting 'what the model gives with the other priority for slots' 's/priority: prob/priority: position/'

# a bundle that somebody edited says nothing of its model
cp -r gold changed
edit_json changed/manifest.json '.batch.seed = 4'
sed 's/activation: silu/activation: gelu_tanh/' right.yaml >wrong.yaml
expect 0 moeparity run -m wrong.yaml --layers 2 -i gold/input.safetensors --numerics fp32 --seed 3 -o wrong.st
expect 1 moeparity compare changed wrong.st
! grep -q 'looks like' out || fail 'a model that is another'

# of a model with branches
expect 0 moeparity golden make --model "$DATA/../mutation/models/branches.yaml" --tokens 4x10 --seed 3 --numerics fp32 --out sides
cp "$DATA/../mutation/models/branches.yaml" right.yaml
left_out() # WORDS FIELD
{
    sed "/^ *$2: true/d" right.yaml >wrong.yaml
    ! cmp -s right.yaml wrong.yaml || fail "no $2"
    expect 0 moeparity run -m wrong.yaml -i sides/input.safetensors --numerics fp32 --seed 3 -o wrong.st
    expect 1 moeparity compare sides wrong.st
    has out "^    (looks like|or        ) what the model gives with $1"
}
left_out "no number of the layer's own" layer_scale
left_out "no numbers of the experts' own" expert_scale
left_out 'no norm of what a part of the layer gives' post_norm
left_out 'no norm of values' value_norm
sed 's/logits_cap: 5/logits_cap: 0/' right.yaml >wrong.yaml
expect 0 moeparity run -m wrong.yaml -i sides/input.safetensors --numerics fp32 --seed 3 -o wrong.st
expect 1 moeparity compare sides wrong.st
has out '^    (looks like|or        ) what the model gives with no cap of the logits'
