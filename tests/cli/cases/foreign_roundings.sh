# A dump of an engine whose roundings are stated, not one type for all: weights
# and what meets them bf16, an F16 cache, the rest fp32 (engine_rounds.py).  It
# is within the golden of its numerics and of no other, and one whose cache or
# router is rounded otherwise is not.
words=w=bf16+act=bf16+kv=f16+acc=fp32+residual=fp32
long=w=bf16+act=fp32+kv=fp16+qp=fp32
short=w=bf16+act=fp32+kv=fp16+ctx=fp16
rounds() # OUT NUMERICS OPTIONS...
{
    with_numpy "$DATA/../cli/engine_rounds.py" dump gold gold "$2" "$1" "${@:3}"
}

expect 0 moeparity golden make -m shadow-a --layers 3 --tokens 4x9 --parts 2 \
    --numerics "fp32,$words,$long,$short" --export-weights -o gold
jq -e '.numerics["llama-no-flash"].file == "llama-no-flash.safetensors"' gold/manifest.json >/dev/null ||
    fail "$(jq -c .numerics gold/manifest.json)"
for forced in '' '--forced layer' '--forced block'; do
    for how in '' '--sums ascending' '--sums descending'; do
        # shellcheck disable=SC2086
        rounds right.st llama-no-flash $forced $how
        expect 0 moeparity compare gold right.st
        has out '^golden     gold, llama-no-flash; '
    done
    # shellcheck disable=SC2086
    rounds wrong.st llama-no-flash $forced router=bf16
    expect 1 moeparity compare gold wrong.st
    has out '^FAIL       first at p0.layers.0.router_logits, '
    # shellcheck disable=SC2086
    rounds wrong.st llama-no-flash $forced cache=bf16
    expect 1 moeparity compare gold wrong.st
    has out '^(FAIL|PRECISION)  *first at p0.layers.[0-2].(attn_out|ffn_out|attn.norm|ffn.norm|topk_weight|router_logits), '
done

# flash attention: each numerics fits its own engine; one that stores a context that should not be, or rounds probabilities
# where it is, fails, and one that does not store it has errors of half the bound, where the right one has a tenth
rounds long.st $long act=fp32 flash=long
rounds short.st $short act=fp32 flash=short
expect 0 moeparity compare gold long.st
expect 0 moeparity compare gold short.st
has out '^compared   27 taps: 27 pass'
for wrong in "$long flash=short" "$long flash=long cache=bf16" "$short"; do
    # shellcheck disable=SC2086
    rounds wrong.st $wrong act=fp32
    expect 1 moeparity compare gold wrong.st
    has out '^(FAIL|PRECISION)  *first at p0.layers.[0-2].'
done
rounds wrong.st $short act=fp32 flash=short sum=fp32
moeparity compare gold wrong.st >out || true
has out '^  (MARGINAL|FAIL)  p0.layers.0.attn_out'

# no one type for all fits it: fp32 is far off, and the engine in fp32 is no such dump
rounds plain.st fp32
expect 1 moeparity compare gold plain.st
has out '^FAIL       first at p0.embed, '
with_numpy "$DATA/../cli/engine.py" dump gold gold fp32 fp32.st
expect 0 moeparity compare gold fp32.st
expect 1 moeparity compare gold fp32.st --numerics llama-no-flash

# what a file says of itself: any words for the same, and none that is unknown
cat >say.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
tensors, meta = f.load("right.st")
f.save("words.st", tensors, {**meta, "numerics": "w=bf16+act=bf16+kv=f16+acc=fp32+residual=fp32"})
f.save("other.st", tensors, {**meta, "numerics": "llama-default+kv=q8_0"})
END
with_numpy say.py "$DATA/../cli"
expect 0 moeparity compare gold words.st
refused 3 "numerics: 'q8_0' of 'kv=q8_0' is no fp64, fp32, fp16 or bf16, while in the metadata of other.st" \
    moeparity compare gold other.st
refused 3 'gold: expected vllm-bf16.safetensors' moeparity compare gold words.st --numerics vllm-bf16
refused 2 "numerics: expected .*, found 'vllm'" moeparity compare gold words.st --numerics vllm

# a bundle of a numerics without a name: its file, and the bundle held against itself
expect 0 moeparity golden make -m shadow-a --layers 1 --tokens 2x5 --numerics bf16+residual=fp32+out=half -o own
[ -f own/w-bf16_residual-fp32_out-fp16.safetensors ] || fail "$(ls own)"
expect 0 moeparity golden check own
expect 0 moeparity compare own own --numerics bf16+residual=fp32+out=half
expect 0 moeparity run -m shadow-a --layers 1 -b 2x5 --numerics bf16+residual=fp32+out=half -o own.st
header own.st | jq -e '.__metadata__.numerics == "w=bf16+residual=fp32+out=fp16"' >/dev/null || fail "$(header own.st)"
expect 0 moeparity compare own own.st

# verify: by the names and the words, each once
expect 0 moeparity verify shadow-a --layers 2 --plan tp=2,ep=2 --numerics "llama-default,llama-short,vllm-bf16"
has out '^VERIFIED   llama-default and llama-short and vllm-bf16 within bounds'
refused 2 '\-\-numerics: expected a list of at most 8.*' moeparity verify --numerics "llama-no-flash,$words"
