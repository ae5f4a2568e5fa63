# Weights that the plan tells apart and that are equal bit for bit: UNPROVEN, and
# they are named; one tensor that differs is enough to tell them apart.
moeparity spec shadow-a --yaml | sed 's/^layers: .*/layers: 4/; s/^experts: .*/experts: 4/; s/^twin_expert: .*/twin_expert: -1/' >small.yaml
expect 0 moeparity golden make --model small.yaml --tokens 1x4 --numerics exact --export-weights --out whole
fresh() { rm -rf model && mkdir model && cp whole/config.json whole/model.safetensors model; }
copy() { foreign copy model/model.safetensors "$1" "$2"; }      # PATTERN REPLACEMENT
edit() { foreign edit model/model.safetensors "model.layers.$1" "$2"; } # TENSOR STATEMENT
verify() { expect "$1" moeparity verify model --numerics exact --batch 4x11 --plan "$2" --json v.json; }
unproven() # PLAN WHAT DEGREE
{
    verify 6 "$1"
    has out "^  equal      $2 are equal bit for bit(, and [0-9]+ more pairs?)? \\($3\\)\$"
    has out "^UNPROVEN   $2 are equal bit for bit.*, so agreement would prove nothing about $3 \\(exact\\)\$"
    [ "$(grep -c '^  equal' out)" = 1 ] || fail "another axis is equal, too"
}
proven() # PLAN
{
    verify 0 "$1"
    has out '^VERIFIED   bit-identical$'
    ! grep -q '^  equal' out || fail 'equal weights in a proven run'
    jq -e '.plans[0].cases[0].equal_weights == []' v.json >jq.out || fail 'equal weights in JSON'
}
every='dp=2,pp=2,tp=2,ep=2,etp=2'
fresh
proven $every

# Experts: all alike, two pairs, and all but one bias.
experts='model\.layers\.(\d+)\.mlp\.experts'
copy "$experts\.\d+\.(.*)" 'model.layers.\1.mlp.experts.0.\2'
unproven dp=2,ep=2 'experts 0 and 2 of layer 0' ep
jq -e '.verdict == "UNPROVEN" and .exit == 6 and (.reason | startswith("experts 0 and 2"))
       and .plans[0].cases[0].equal_weights == [{"what": "experts", "degree": "ep",
       "pairs": 16, "layer": 0, "first": [0, 0], "second": [2, 2]}]' v.json >jq.out || fail 'experts in JSON'
proven dp=2,tp=2 # every rank has all of them
edit 0.mlp.experts.2.down_proj.bias 'x[7] += 1'
edit 0.mlp.experts.3.down_proj.bias 'x[7] += 2'
unproven dp=2,ep=2 'experts 0 and 2 of layer 1' ep
fresh
copy "$experts\.2\.(.*)" 'model.layers.\1.mlp.experts.0.\2'
copy "$experts\.3\.(.*)" 'model.layers.\1.mlp.experts.1.\2'
unproven dp=2,ep=2 'experts 0 and 2 of layer 0' ep
proven dp=2,ep=2,placement=0/1/0/1                              # the equal ones together
unproven dp=2,ep=2,placement=0/1/0+1/1 'experts 0 and 2 of layer 0' ep # one of them twice

# Layers, whole; norms of ones do not matter.
fresh
copy 'model\.layers\.2\.(.*)' 'model.layers.0.\1'
unproven pp=2 'layers 0 and 2' pp
proven pp=2,stages=3/1
for norm in input_layernorm post_attention_layernorm; do
    copy "model\.layers\.\d\.$norm\.weight" "model.layers.0.$norm.weight"
done
unproven pp=2 'layers 0 and 2' pp
edit 2.self_attn.o_proj.weight 'x[3, 4] *= 2'
proven pp=2

# Heads and their shared kv heads, columns, the vocabulary.
fresh
edit 1.self_attn.q_proj.weight 'x[30:] = x[:30]'
edit 1.self_attn.q_proj.bias 'x[30:] = x[:30]'
proven tp=2
edit 1.self_attn.o_proj.weight 'x[:, 30:] = x[:, :30]'
unproven tp=2 'heads 0-4 and 5-9 of layer 1' tp
fresh
for tensor in weight bias; do
    edit 2.self_attn.k_proj.$tensor 'x[12:18] = x[24:] = x[:6]; x[18:24] = x[6:12]'
    edit 2.self_attn.v_proj.$tensor 'x[12:18] = x[24:] = x[:6]; x[18:24] = x[6:12]'
done
unproven tp=2 'kv heads 0-2 and 2-4 of layer 2' tp
fresh
for tensor in gate_proj up_proj; do
    edit 3.mlp.shared_expert.$tensor.weight 'x[17:] = x[:17]'
    edit 3.mlp.shared_expert.$tensor.bias 'x[17:] = x[:17]'
done
proven tp=2
edit 3.mlp.shared_expert.down_proj.weight 'x[:, 17:] = x[:, :17]'
unproven tp=2 'MLP columns 0-16 and 17-33 of layer 3' tp
fresh
for e in 0 1 2 3; do
    for tensor in gate_proj up_proj; do
        edit 0.mlp.experts.$e.$tensor.weight 'x[14:] = x[:14]'
        edit 0.mlp.experts.$e.$tensor.bias 'x[14:] = x[:14]'
    done
    proven dp=2,etp=2
    edit 0.mlp.experts.$e.down_proj.weight 'x[:, 14:] = x[:, :14]'
done
unproven dp=2,etp=2 'expert columns 0-13 and 14-27 of layer 0' etp
fresh
foreign edit model/model.safetensors model.embed_tokens.weight 'x[19:] = x[:18]'
proven tp=2
foreign edit model/model.safetensors lm_head.weight 'x[19:] = x[:18]'
unproven tp=2 'vocabulary rows 0-17 and 19-36' tp

# Mamba channels.
copy_case "$ORACLE/jamba/tiny"
rm -rf model && mv case model
proven tp=2
for halves in in_proj.weight='x[64:128] = x[:64]; x[192:] = x[128:192]' conv1d.weight='x[64:] = x[:64]' \
    conv1d.bias='x[64:] = x[:64]' x_proj.weight='x[:, 64:] = x[:, :64]' dt_proj.weight='x[64:] = x[:64]' \
    dt_proj.bias='x[64:] = x[:64]' A_log='x[64:] = x[:64]' D='x[64:] = x[:64]'; do
    edit "0.mamba.${halves%%=*}" "${halves#*=}"
done
proven tp=2
edit 0.mamba.out_proj.weight 'x[:, 64:] = x[:, :64]'
unproven tp=2 'mamba channels 0-63 and 64-127 of layer 0' tp
