# Dumps of another engine (engine.py) of the two families whose layers are least
# like the presets': latent attention with groups of experts, and sinks, windows
# and clamped experts in MXFP4.  Right ones pass, what is left out is found.

engine() # MODEL OUT NUMERICS OPTIONS...
{
    with_numpy "$DATA/../cli/engine.py" dump "${1%%/*}" "$ORACLE/$1" "$3" "$2" "${@:4}"
}

found() # MODEL TAP FAULT NUMERICS: the first failing tap of a dump fed by blocks
{
    engine "$1" wrong.st "$4" --forced block --fault "$3"
    expect 1 moeparity compare "${1%%/*}" wrong.st --json out.json
    jq -e --arg tap "p0.$2" '.first.tap == $tap' out.json >/dev/null ||
        fail "$*: first at $(jq .first.tap out.json)"
}

for model in deepseek_v3/yarn_bf16 gpt_oss/mxfp4; do
    expect 0 moeparity golden make -m "$ORACLE/$model" --tokens 4x9 --numerics fp32,bf16 -o "${model%%/*}"
    for how in 'fp32' 'fp32 --sums ascending --eager' 'bf16 --forced layer --sums tp' \
        'bf16 --forced block --sums descending --eager'; do
        # shellcheck disable=SC2086
        engine "$model" right.st $how
        expect 0 moeparity compare "${model%%/*}" right.st
    done
done

for numerics in fp32 bf16; do
    found deepseek_v3/yarn_bf16 layers.0.attn_out latent_norm_missing $numerics
    found deepseek_v3/yarn_bf16 layers.2.topk_idx groups_ignored $numerics
    found deepseek_v3/yarn_bf16 layers.2.topk_weight routed_scale_missing $numerics
    found deepseek_v3/yarn_bf16 layers.2.ffn_out shared_missing $numerics
    found gpt_oss/mxfp4 layers.0.attn_out sinks_missing $numerics
    found gpt_oss/mxfp4 layers.0.attn_out window_missing $numerics
    found gpt_oss/mxfp4 layers.0.attn_out rope_factor_missing $numerics
    found gpt_oss/mxfp4 layers.0.ffn_out act_kind $numerics
done
