# GGUF files: listed, described, run, verified, and the source of goldens. What
# they hold is judged by checkpoints that llama.cpp's converter made them from,
# and by transformers with the values that the gguf package reads.

files=$DATA/gguf

# agrees FILE CASE: taps of the file are those of other people's code
agrees()
{
    expect 0 moeparity run -m "$files/$1.gguf" -i "$2" -o taps.st
    expect 0 moeparity compare "$2" taps.st
    has out '^SAME$'
}

expect 0 moeparity inspect "$files/quantised.gguf"
has out '^# general.architecture: qwen3moe$'
has out '^# qwen3moe.attention.layer_norm_rms_epsilon: 1e-06$'
has out '^blk.1.ffn_gate_exps.weight +Q4_K +\[3,32,256\]$'
has out '^# 27 tensors in 1 file, [0-9]+ bytes$'
expect 0 moeparity inspect "$files/olmoe__biased-00001-of-00002.gguf"
has out '^blk.1.ffn_down.6.weight +F32 +\[30,9\] olmoe__biased-00002-of-00002.gguf$'

expect 0 moeparity spec "$files/quantised.gguf"
has out '^model      qwen3_moe$'
has out '^stored     GGUF: F32 .*, Q4_K 27.0 KiB, '

agrees quantised "$files/quantised.safetensors"
agrees granitemoe__biased "$ORACLE/granitemoe/biased/expected.safetensors"
agrees deepseek_v2__greedy "$ORACLE/deepseek_v2/greedy/expected.safetensors"

agrees bailing_moe__as_glm4 "$ORACLE/bailing_moe/as_glm4/expected.safetensors"
agrees glm4v_moe__one_group "$ORACLE/glm4v_moe/one_group/expected.safetensors"

# -exp(A_log) was rounded to a float
expect 0 moeparity run -m "$ORACLE/jamba/biased" -b 2x7 -o twin.st
expect 0 moeparity run -m "$files/jamba__biased.gguf" -b 2x7 -o taps.st
expect 0 moeparity compare twin.st taps.st
has out '^SAME$'

expect 0 moeparity run -m "$ORACLE/qwen3_5_moe/wrapped" -b 2x7 -o twin.st
expect 0 moeparity run -m "$files/qwen3_5_moe__wrapped.gguf" -b 2x7 -o taps.st
expect 0 moeparity compare twin.st taps.st
has out '^SAME$'
expect 0 moeparity run -m "$ORACLE/kimi_linear/mixed" -b 2x7 -o twin.st
expect 0 moeparity run -m "$files/kimi_linear__mixed.gguf" -b 2x7 -o taps.st --set router.groups=2 \
    --set router.groups_kept=1 --set router.group_score=best_two
expect 0 moeparity compare twin.st taps.st
has out '^SAME$'

# --- another model than it was made from: which field, and who says it

expect 0 moeparity spec "$files/mixtral__leftpad.gguf" --against "$ORACLE/mixtral/leftpad"
has out 'describe one model$'
expect 1 moeparity spec "$files/gpt_oss__plain.gguf" --against "$ORACLE/gpt_oss/plain"
has out '^span +\[window, full, window\], there \[full, window, full\]; no key gpt-oss.attention.sliding_window_pattern: the '
has err 'differs from .* in 1 field$'
expect 1 moeparity spec "$files/olmoe__biased-00001-of-00002.gguf" --against "$ORACLE/olmoe/biased"
has out '^norm_eps +1e-05, there 1e-06; olmoe.attention.layer_norm_rms_epsilon$'
LC_ALL=C sed 's/glm-dsa.attention.indexer.types/glm-xxx.attention.indexer.types/' "$files/glm_moe_dsa__shared_index.gguf" >other.gguf
expect 0 moeparity spec other.gguf --against "$ORACLE/glm_moe_dsa/shared_index"
LC_ALL=C sed 's/\(indexer.types.\{16\}\x01\)\x00/\1\x01/' "$files/glm_moe_dsa__shared_index.gguf" >other.gguf
expect 1 moeparity spec other.gguf --against "$ORACLE/glm_moe_dsa/shared_index"
has out '^sight +.*; glm-dsa.attention.indexer.types$'

expect 1 moeparity spec "$files/llama3.gguf" --against "$ORACLE/llama4/every_layer"
has out '^rope.scaling +llama3, there plain; rope_freqs.weight$'
LC_ALL=C sed 's/llama4.rope.freq_base\(....\)..../llama4.rope.freq_base\1\x00\x24\xf4\x48/' "$files/llama3.gguf" >other.gguf
refused 3 "other.gguf: tensor 'rope_freqs.weight': divisors of frequencies that are not llama3's for 8192 positions" \
    moeparity spec other.gguf

# --- under plans: a block is not cut, unless what is cut was dequantised

expect 0 moeparity verify "$files/mixtral__leftpad.gguf" --plan tp=2,ep=2 --numerics exact
has out '^VERIFIED   bit-identical'
refused 2 'layers.0.experts.0.down: a shard begins at column 16, inside a block of 32 that share a scale' \
    moeparity run -m "$files/quantised.gguf" -b 2x5 -p etp=2,tp=2 -o taps.st
expect 0 moeparity verify "$files/quantised.gguf" --plan etp=2,tp=2 --cut-blocks --numerics exact
# a row of a delta net's output, where a block holds columns of four heads in the order of tiles
cp "$DATA/../fuzz/seeds/gguf_qwen35moe" tiles.gguf
refused 2 'layers.1.deltanet.out: a shard begins at column 16, inside a block of 32 that share a scale' \
    moeparity run -m tiles.gguf -b 2x5 -p tp=2 -o taps.st
expect 0 moeparity run -m tiles.gguf -b 2x5 -p tp=2 --cut-blocks -o taps.st

# --- goldens

# Q4_1 meets Q8_1, whose sum is rounded apart
refused 3 'model.layers.1.self_attn.o_proj.weight: --act-quant: its inputs are quantised in a way that is not emulated' \
    moeparity run -m "$files/quantised.gguf" --act-quant -b 1x5 -n fp32 -o taps.st
refused 3 'model.layers.1.linear_attn.out_proj.weight: --act-quant: its inputs are quantised in a way that is not emulated' \
    moeparity run -m tiles.gguf --act-quant -b 1x5 -n fp32 -o taps.st
expect 0 moeparity golden make --model "$files/quantised.gguf" --tokens 1x5 --numerics fp32 --out gold
expect 0 moeparity golden check gold --model "$files/quantised.gguf"
expect 0 moeparity run -m "$files/quantised.gguf" -i gold/input.safetensors -n fp32 -o taps.st
expect 0 moeparity compare gold taps.st

# --- what is no such file

refused 3 'olmoe__biased-00002-of-00002.gguf: file 2 of 2: the first one is opened, for all of them' \
    moeparity inspect "$files/olmoe__biased-00002-of-00002.gguf"
cp "$files/olmoe__biased-00001-of-00002.gguf" .
refused 3 'olmoe__biased-00002-of-00002.gguf: No such file' moeparity inspect olmoe__biased-00001-of-00002.gguf
head -c 1000 "$files/quantised.gguf" >cut.gguf
refused 3 "cut.gguf: tensor 'token_embd.weight': 5040 bytes, and the file has 1000" moeparity spec cut.gguf
sed 's/qwen3moe/qwen9moe/g' "$files/quantised.gguf" >other.gguf
refused 3 "other.gguf: general.architecture: 'qwen9moe' is not read, expected one of llama, qwen2moe, " moeparity spec other.gguf
LC_ALL=C sed 's/\(bailingmoe2.expert_gating_func....\)\x02/\1\x01/' "$files/bailing_moe__as_glm4.gguf" >other.gguf
refused 3 'other.gguf: expert_gating_func: 1, expected 2 \(sigmoid\)' moeparity spec other.gguf
sed 's/expert_used_count/expert_lost_count/' "$files/quantised.gguf" >other.gguf
refused 3 "other.gguf: key 'expert_used_count' of the architecture: missing, and no model without experts is read" \
    moeparity spec other.gguf
sed 's/context_length/context_volume/' "$files/quantised.gguf" >other.gguf
refused 3 'other.gguf: qwen3moe.context_volume: not read for model_type qwen3_moe, may change the result' \
    moeparity spec other.gguf
expect 0 moeparity spec other.gguf --ignore-key qwen3moe.context_volume
has out '^ignored    qwen3moe.context_volume$'
sed 's/blk.1.attn_k_norm/blk.1.attn_x_norm/' "$files/quantised.gguf" >other.gguf
refused 3 'other.gguf: model.layers.1.self_attn.k_norm.weight: missing' moeparity run -m other.gguf -b 1x4 -o taps.st
