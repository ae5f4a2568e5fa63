# Quantised checkpoints in the layouts of their publishers, made from procedural
# weights: they open, say what they are, are verified on a plan, and compute what
# their dequantised twins do.

layouts()
{
    with_numpy "$DATA/../cli/layouts.py" "$@"
}

# laid_out LAYOUT CONFIG FILTER: ./case and ./twin, of the config changed by a jq
# filter
laid_out()
{
    rm -rf config plain case twin
    mkdir config
    jq "$3" "$2" >config/config.json || fail "jq $3"
    expect 0 moeparity golden make --model config --tokens 2x9 --numerics exact --export-weights --out plain
    layouts "$1" plain/model.safetensors config/config.json case twin
}

# computes_the_same: bit for bit, in two numerics
computes_the_same()
{
    for numerics in fp64 bf16; do
        expect 0 moeparity run -m case -b 2x9 --numerics $numerics -o case.st
        expect 0 moeparity run -m twin -b 2x9 --numerics $numerics -o twin.st
        layouts same case.st twin.st
    done
}

verified_on() # PLAN...
{
    expect 0 moeparity verify case "${@/#/--plan=}"
    has out '^VERIFIED   bit-identical, and fp32 within bounds'
}

# --- DeepSeek-V4: experts in FP4, two to a signed byte; other matrices FP8;
# exponents as scales; a layer that predicts further tokens is passed over

v4='.hidden_size = 96 | .moe_intermediate_size = 64 | .num_hidden_layers = 3 | .compress_ratios = [4, 0, 128]
    | .num_nextn_predict_layers = 1 | .expert_dtype = "fp4" | .quantization_config = {"activation_scheme": "dynamic",
      "fmt": "e4m3", "quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}'
laid_out deepseek_v4 "$ORACLE/deepseek_v4/all_layers/config.json" "$v4"
expect 0 moeparity spec case
has out '^stored     experts as MXFP4, a scale for 1 x 32 values: .*, as config.json says$'
computes_the_same
refused 2 'experts.0.down: a shard begins at column 16, inside a block of 32 that share a scale' \
    moeparity run -m case -b 4x9 -o case.st -p dp=4,etp=4
verified_on tp=2,ep=2 pp=3,ep=3,etp=2,tp=2,scope=replica

# --- the same with experts by modelopt, which says it of every layer

layers='.quantization_config += {"quant_algo": "MIXED_PRECISION", "moe_quant_algo": "NVFP4", "group_size": 16,
    "ignore": ["*.attn.*", "*.ffn.shared_experts.*", "head", "mtp.*"], "quantized_layers": (reduce range(3) as $i
    ({}; . + {"layers.\($i).ffn.experts": {"group_size": 16, "quant_algo": "NVFP4"}}))}'
laid_out deepseek_v4_nvfp4 "$ORACLE/deepseek_v4/all_layers/config.json" "$v4 | $layers"
expect 0 moeparity spec case
has out '^stored     experts as NVFP4, a scale for 1 x 16 values: .*, as config.json says$'
computes_the_same
verified_on tp=2,ep=2

# --- Gemma-4 by modelopt: experts one by one, under the wrapper's names; lists
# name modules of every layer, and the vision part is not read

lists='.text_config |= (.hidden_size = 32 | .moe_intermediate_size = 48) | .quantization_config = {"quant_algo": "NVFP4",
    "quant_method": "modelopt", "producer": {"name": "modelopt"}, "kv_cache_scheme": {"dynamic": false, "num_bits": 8,
    "type": "float"}, "config_groups": {"group_0": {"input_activations": {"dynamic": false, "num_bits": 4,
    "type": "float", "group_size": 16}, "weights": {"dynamic": false, "num_bits": 4, "type": "float",
    "group_size": 16}, "targets": ["Linear"]}}, "ignore": (["lm_head", "model.embed_vision*", "model.vision_tower*"]
    + [range(3) | "model.language_model.layers.\(.)." + ("mlp*", "router*", "self_attn*")])}'
laid_out gemma4_nvfp4 "$ORACLE/gemma4/wrapped/config.json" "$lists"
expect 0 moeparity spec case
has out '^stored     experts as NVFP4, a scale for 1 x 16 values: .*, as config.json says$'
computes_the_same
refused 2 'experts.0.down: a shard begins at column 24, inside a block of 16 that share a scale' \
    moeparity run -m case -b 2x9 -o case.st -p dp=2,etp=2
verified_on tp=2,ep=2 dp=3,etp=3
has out 'NVFP4, activations as they are; tensors of other parts \(vision, audio\) left out: 2 '

# --- Kimi-K3 by compressed-tensors: regular expressions say what is plain, so
# that the experts, what leads to their width and back, and what looks back at
# earlier sums are MXFP4; gates of routers are no modules of theirs

groups='.text_config |= (.hidden_size = 96 | .routed_expert_hidden_size = 32 | .moe_intermediate_size = 64
    | .quantization_config = {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized",
    "quantization_status": "compressed", "kv_cache_scheme": null, "global_compression_ratio": null, "ignore":
    ["re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*", "re:.*lm_head.*",
    "re:.*vision_tower.*", "re:.*mm_projector.*"], "config_groups": {"group_0": {"format": "mxfp4-pack-quantized",
    "input_activations": null, "output_activations": null, "targets": ["Linear"], "weights": {"actorder": null,
    "block_structure": null, "dynamic": false, "group_size": 32, "num_bits": 4, "observer": "minmax",
    "observer_kwargs": {}, "scale_dtype": "torch.uint8", "strategy": "group", "symmetric": true, "type": "float",
    "zp_dtype": null}}}})'
laid_out kimi_k3 "$DATA/kimi_k3/config.json" "$groups"
expect 0 moeparity spec case
has out '^stored     experts as MXFP4, a scale for 1 x 32 values: .*, as config.json says$'
computes_the_same
refused 2 'experts.0.down: a shard begins at column 16, inside a block of 32 that share a scale' \
    moeparity run -m case -b 4x9 -o case.st -p dp=4,etp=4
verified_on tp=2,ep=2 pp=3,ep=3,scope=replica dp=2,etp=2

# --- what computes the same would not, were a scale another

flip case/model.safetensors language_model.model.layers.4.block_sparse_moe.experts.7.w2.weight_scale 0 1
expect 0 moeparity run -m case -b 2x9 --numerics fp64 -o case.st
! (layouts same case.st twin.st) 2>err || fail 'another scale of one row, and the same taps'
