# Checkpoints of quantised weights: what is said of them, what they are held to,
# and which plans may split them.
formats=$ORACLE/formats

# --- what spec says, whoever says it

expect 0 moeparity spec "$formats/modelopt_nvfp4"
has out '^stored     experts as NVFP4, a scale for 1 x 16 values: [0-9.]* KiB of files, as hf_quant_config.json says$'
has out '^ +activations as FP4 E2M1, a scale for 16 values: no part of the reference without --act-quant$'
expect 0 moeparity spec "$formats/tensors_int4"
has out '^stored     experts as INT4, a scale for 1 x 32 values: .* as config.json says$'
expect 0 moeparity spec "$ORACLE/qwen3_moe/dense_mix_llama3"
! grep -q '^stored' out || fail 'what is plain is no format'

# --- one is silent, or both speak and differ

copy_case "$formats/modelopt_nvfp4"
rm case/hf_quant_config.json
refused 3 'NVFP4, and neither config.json nor hf_quant_config.json says' \
    moeparity run -m case -b 1x2 -o out.st
copy_case "$formats/modelopt_nvfp4"
jq '.quantization_config = {"quant_method": "mxfp4"}' \
    "$formats/modelopt_nvfp4/config.json" >case/config.json
refused 3 'config.json and hf_quant_config.json do not say the same' \
    moeparity spec case
copy_case "$ORACLE/qwen3_moe/dense_mix_llama3"
cp "$formats/modelopt_nvfp4/hf_quant_config.json" case
refused 3 'experts.0.gate_proj.weight: element type F32, hf_quant_config.json says: NVFP4' \
    moeparity run -m case -b 1x2 -o out.st
for algorithm in NVFP4_AWQ W4A16_AWQ none; do
    copy_case "$formats/modelopt_nvfp4"
    edit_json case/hf_quant_config.json ".quantization.quant_algo = \"$algorithm\""
    refused 3 "quant_algo: '$algorithm' is not supported" moeparity run -m case -b 1x2 -o out.st
done

# --- config.json: what is read, and what is not

said() # FILTER REGEX: a quantization_config of compressed-tensors, refused
{
    copy_case "$formats/tensors_int4"
    edit_json case/config.json ".quantization_config |= ($1)"
    refused 3 "case/config.json: .*$2" moeparity spec case
}
copy_case "$formats/tensors_int4"
expect 0 moeparity spec case
said '.config_groups.group_0.weights.symmetric = false' 'symmetric: false is not supported'
said '.config_groups.group_0.weights.num_bits = 3' 'weights of type int with 3 bits are not supported'
said '.config_groups.group_0.weights.strategy = "token"' "strategy 'token' is not supported"
said '.config_groups.group_0.weights.group_size = 0' 'group: expected sizes of a block from 1'
said '.config_groups.group_0.weights |= (.type = "float" | .group_size = 24)' 'group_size: 24, expected 16 of NVFP4'
said '.config_groups = []' 'config_groups: expected an object'
said '.ignore = ["re:(?!x)y"]' 'not a regular expression that is supported'
said '.ignore = [1]' 'ignore: entry 0: expected a name'
said '.ignore = "x"' 'ignore: expected a list of modules'
said '.quant_method = "gptq"' "quant_method: 'gptq' is not supported, expected fp8,"
said '.sparsity_config = {"format": "sparse-24-bitmask"}' "format: 'sparse-24-bitmask' is not supported"
copy_case "$formats/tensors_int4" # exempt, and quantised all the same
edit_json case/config.json '.quantization_config.ignore += ["re:.*self_attn.*"]'
refused 3 'q_proj.weight_packed: INT4, config.json says: plain' moeparity run -m case -b 1x2 -o out.st

# --- blocks and plans: refused with the equation, or split when dequantised

cut() # CASE PLAN REGEX
{
    refused 2 "$3" moeparity run -m "$formats/$1" -b 2x8 -o out.st -p "$2"
    expect 0 moeparity verify "$formats/$1" --plan "$2" --numerics exact --cut-blocks
    has out '^VERIFIED'
}
inside() # COLUMN BLOCK
{
    echo "a shard begins at column $1, inside a block of $2 that share a scale: $1 % $2 is $1, expected 0"
}
for case in fp8_blocks fp8_e5m2 fp8_fp4_exponents tensors_int4 tensors_mxfp4 tensors_mxfp8; do
    cut $case tp=4 "layers.0.attn.o: $(inside 16 32)"
done
for case in modelopt_nvfp4 tensors_nvfp4; do
    cut $case tp=4,etp=4 "experts.[0-3].down: $(inside 8 16)"
done
for case in modelopt_fp8 tensors_fp8 tensors_int8 tensors_w8a8; do # no blocks
    expect 0 moeparity verify "$formats/$case" --plan tp=4 --numerics exact
    has out '^VERIFIED'
done
has out 'INT8, activations as they are \(exact mode: its grid twin\)$'

# --- activations quantised as engines do it

for case in modelopt_fp8 modelopt_nvfp4 fp8_blocks fp8_fp4_exponents tensors_fp8 tensors_w8a8 tensors_nvfp4 tensors_mxfp8; do
    expect 0 moeparity verify "$formats/$case" --act-quant --numerics exact,fp32,bf16 \
        --plan tp=2,dp=2,ep=2,mb=2 --plan pp=2,dp=2,etp=2 --plan tp=2,etp=2,scope=replica
    has out '^VERIFIED   bit-identical, and fp32 and bf16 within bounds'
    has out ', activations quantised'
done
acts() # FILTER TEXT: how spec shows the activations of a config of compressed-tensors
{
    copy_case "$formats/tensors_w8a8"
    edit_json case/config.json ".quantization_config.config_groups.group_0.input_activations |= ($1)"
    expect 0 moeparity spec case
    has out "^ +activations $2: no part of the reference without --act-quant$"
}
not_done() # REGEX: ... and what a run with them says
{
    refused 3 "q_proj.weight: --act-quant: its inputs $1" moeparity run -m case -b 1x2 -o out.st --act-quant
    expect 0 moeparity run -m case -b 1x2 -o out.st
}
acts . 'as INT8, a scale for a token'
expect 0 moeparity run -m case -b 1x2 -o out.st --act-quant
acts '.strategy = "tensor"' 'as INT8, a scale for a batch'
not_done 'share a scale with all tokens that are computed together'
acts '.symmetric = false' 'in codes that are not known'
not_done 'are quantised in a way that is not emulated'
acts '.num_bits = 4' 'in codes that are not known'
acts '.type = 3 | .strategy = []' 'as INT8, a scale for a batch'
acts '.strategy = "tensor" | .dynamic = false' 'as INT8, a scale for a tensor'
refused 3 'q_proj.weight: --act-quant: expected a scale of its inputs above 0 \(input_scale\), found none' \
    moeparity run -m case -b 1x2 -o out.st --act-quant
refused 2 '--act-quant: .*: nothing there says that what is multiplied with a weight is quantised' \
    moeparity run -m "$formats/tensors_int4" -b 1x2 -o out.st --act-quant
refused 2 '--act-quant: shadow-a has no weights in files' moeparity verify shadow-a --act-quant
refused 2 '--act-quant: shadow-a has no weights in files' \
    moeparity golden make --model shadow-a --out bundle --batch 1x4 --act-quant
# their scales cut a plan too, even where weights are dequantised
refused 2 "layers.0.attn.o: $(inside 16 32) \(of activations, by --act-quant\)" \
    moeparity run -m "$formats/tensors_mxfp8" -b 2x8 -o out.st -p tp=4 --cut-blocks --act-quant

# a bundle keeps it, and tells a run that does it from one that does not
expect 0 moeparity golden make --model "$formats/tensors_w8a8" --out bundle --batch 2x7 --act-quant
[ "$(jq .weights.act_quant bundle/manifest.json)" = true ] || fail 'the manifest does not say it'
expect 0 moeparity golden check bundle --model "$formats/tensors_w8a8"
for numerics in exact fp32; do
    expect 0 moeparity run -m "$formats/tensors_w8a8" -i bundle/input.safetensors -n $numerics -p tp=2,dp=2,ep=2 --act-quant -o with.st
    expect 0 moeparity compare bundle with.st
    expect 0 moeparity run -m "$formats/tensors_w8a8" -i bundle/input.safetensors -n $numerics -p tp=2,dp=2,ep=2 -o without.st
    expect 1 moeparity compare bundle without.st
    has out '^FAIL       first at p0.layers.0.attn_out'
done

# --- a head that is stored although config.json ties it

cat >head.py <<'END'
import glob, sys
sys.path.insert(0, sys.argv[1])
import foreign
for path in glob.glob("case/model-*.safetensors"):
    tensors, _ = foreign.load(path)
    if "model.embed_tokens.weight" in tensors:
        x = tensors["model.embed_tokens.weight"].copy()
x[3] *= float(sys.argv[2])
foreign.save("case/head.safetensors", {"lm_head.weight": x})
END
head() # FACTOR: a sharded tied model with such a head in a file of its own
{
    copy_case "$ORACLE/mixtral/sharded_tied_mqa"
    with_numpy head.py "$DATA/../cli" "$1"
    edit_json case/model.safetensors.index.json '.weight_map["lm_head.weight"] = "head.safetensors"'
}
head 1
expect 0 moeparity spec case
has out '^vocabulary .*, tied head$'
head 2
expect 0 moeparity spec case
has out '^vocabulary .*; the stored head is used, it differs from the embedding that config.json ties it to$'
expect 0 moeparity run -m case -b 1x4 -o own.st
expect 0 moeparity run -m "$ORACLE/mixtral/sharded_tied_mqa" -b 1x4 -o tied.st
expect 1 moeparity compare tied.st own.st
has out 'logits'
expect 0 moeparity inspect case
has out '^lm_head.weight .*\] head.safetensors$'
has out '^# [0-9]+ tensors in 4 files, '

# a part of a larger model as well: the run is what it was when nothing was tied
copy_case "$ORACLE/qwen3_5_moe/wrapped"
edit_json case/config.json '.tie_word_embeddings = true | .text_config.tie_word_embeddings = true'
expect 0 moeparity spec case
has out 'the stored head is used'
expect 0 moeparity run -m case -i case/expected.safetensors -o out.st
expect 0 moeparity compare case/expected.safetensors out.st
has out '^SAME$'
