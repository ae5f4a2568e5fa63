# search: a front, the seed's plans beside it, and a plan that verify takes.
on="--machine gpu-400t-64g"
expect 0 moeparity search seed-30b $on --gpus 16..64 --batch 256x2048 --json s.json
has out '^best '
for plan in seed-16 seed-32 seed-32-stage; do
    has out "^$plan "
    has out "^why +best against $plan: latency"
done
jq -e '.plans == .too_large + .missed_limits + .left and .illegal > 0 and .too_large > 0
       and (.front | length > 0) and (.marked | length == 3)
       and ([.front[].latency_s] | . == sort)
       and all(.front[]; ([.terms_s[]] | add) as $sum | ($sum / .latency_s - 1 | fabs) < 1e-9)
       and all(.front[]; .gpus >= 16 and .gpus <= 64 and .memory_bytes <= 64e9)' \
    s.json >/dev/null || fail "json: $(head -c 400 s.json)"

# what is shown is the replay's word, and it says who wins and who fits
jq -e '.replayed.plans > (.front | length) and .replayed.open == 0
       and all(.front[], .marked[]; .latency_s == .predicted.latency_s
               and (.tokens_per_s / .predicted.tokens_per_s - 1 | fabs) < 1e-9)' \
    s.json >/dev/null || fail "replayed"
jq -e '.best.plan as $best | (.front[] | select(.plan == $best) | .predicted) as $p
       | all(.front[]; .predicted.memory_bytes <= 64e9)
       and all(.marked[].predicted; .latency_s > $p.latency_s and .tokens_per_s < $p.tokens_per_s
               and .latency_low_s < .latency_s and .latency_s < .latency_high_s)' \
    s.json >/dev/null || fail "predicted"

# sequence parallel, where it is faster, and as a plan to be held against the best
jq -e '[.front[].plan | select(contains("sp=1"))] | length > 0 and all(.[]; contains("tp="))' s.json >/dev/null ||
    fail "no plan with sp=1: $(jq -c '[.front[].plan]' s.json)"
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x8 --mark tp=4,sp=1
has out '^tp=4,sp=1 .* tp=4,sp=1 '

# rows of long prompts are cut, stages take turns with several runs of layers
expect 0 moeparity search seed-mini $on --gpus 4 --batch 1x8192 --mark cp=4 --write cut.yaml
has out '^best .* cp=4,cp_kind=[a-z]+ '
has cut.yaml '^cp: 4$'
has out '^cp=4 .* cp=4 '
verified seed-mini --layers 2 --plan cut.yaml
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x8 --mark pp=4,vpp=2,mb=4 --mark pp=4,mb=4 --json v.json
jq -e '.marked | .[0].terms_s["pipeline bubble"] < 0.6 * .[1].terms_s["pipeline bubble"]' v.json >/dev/null ||
    fail "the bubble of virtual stages: $(jq -c '[.marked[].terms_s]' v.json)"
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x8 --mark pp=4,vpp=2,ep=4,scope=replica,mb=4 --mark pp=4,ep=4,scope=replica,mb=4 --json v.json
jq -e '.marked | .[0].terms_s["pipeline bubble"] < 0.6 * .[1].terms_s["pipeline bubble"]' v.json >/dev/null ||
    fail "the bubble of virtual stages in step: $(jq -c '[.marked[].terms_s]' v.json)"

# what it writes is verified, also with the experts dealt by popularity
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x8 --write best.yaml
verified seed-mini --layers 2 --plan best.yaml
seq 1 64 | awk '{print 1 / $1}' >popularity
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x8 --mark dp=4,ep=4 \
    --popularity popularity --place --write placed.yaml
has out '^  before   balance'
has placed.yaml '^placement:'
verified seed-mini --layers 2 --plan placed.yaml
# enough rows: before and after by replay of every rank
expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x512 --mark dp=4,ep=4 \
    --popularity popularity --place --write placed.yaml --json s.json
jq -e '.placement | .balance_before < 0.6 and .balance_after > 0.99
       and .latency_after_s < .latency_before_s' s.json >/dev/null || fail "balance"
verified seed-mini --layers 2 --plan placed.yaml

# without a capacity the most popular expert is more than a rank's share: copies
printf '9\n1\n1\n1\n1\n1\n1\n1\n' >hot
expect 0 moeparity search "$ORACLE/mixtral/tiny" $on --gpus 4 --batch 16x512 --mark dp=4,ep=4 \
    --popularity hot --place --write placed.yaml --json s.json
jq -e '.placement | .balance_before < 0.5 and .balance_after > 0.9 and .copies > 8' \
    s.json >/dev/null || fail "copies"
has placed.yaml '^  - \[[0-9]+, ' # a replica
verified "$ORACLE/mixtral/tiny" --plan placed.yaml

# every model: latent attention, a mamba mixer
for model in "$ORACLE/deepseek_v3/yarn_bf16" "$ORACLE/jamba/tiny"; do
    expect 0 moeparity search "$model" $on --gpus 1..8 --batch 16x64
    has out '^best '
    expect 0 moeparity search "$model" $on --gpus 1..8 --decode 16x300
done

# decode of few rows, where closed form and replay differ: whatever could be on the front is replayed
expect 0 moeparity search seed-30b $on --gpus 16..64 --decode 256x2048 --json s.json
jq -e '.replayed | .off_latency > 0.1 and .open == 0 and .plans > 100' s.json >/dev/null ||
    fail "not all replayed that could be on the front: $(jq -c .replayed s.json)"

# twice the bytes of f32
for dtype in f32 f64; do
    expect 0 moeparity search seed-mini $on --gpus 1 --batch 16x8 --dtype $dtype --json $dtype.json
done
jq -es '(.[1].best.memory_bytes - 2 * .[0].best.memory_bytes | fabs) < 65536' f32.json f64.json >/dev/null ||
    fail "f64: $(jq -c .best f32.json f64.json)"

# limits, decode
expect 0 moeparity search seed-30b $on --gpus 32 --decode 256x2048 --slo 'latency_ms<50'
refused 1 'none of [0-9]+ plans meets the limits; the least latency is' \
    moeparity search seed-30b $on --gpus 32 --decode 256x2048 --slo 'latency_ms<0.001'
refused 4 'no plan fits: the smallest needs' \
    moeparity search seed-30b $on --gpus 1 --batch 256x8192
expect 0 moeparity search seed-30b $on --gpus 1 --batch 1x8

# refusals; their good twins are above
bad() # REGEX ARGS...
{
    refused 2 "$1" moeparity search "${@:2}" --write none.yaml
    [ ! -e none.yaml ] || fail "written: $*"
}
bad 'expected a model' $on --gpus 4 --batch 16x8
bad '--machine: missing' seed-mini --gpus 4 --batch 16x8
bad '--gpus: missing' seed-mini $on --batch 16x8
bad '--gpus: .*rising' seed-mini $on --gpus 8..4 --batch 16x8
bad 'one of --batch BxT and --decode' seed-mini $on --gpus 4
bad 'one of --batch BxT and --decode' seed-mini $on --gpus 4 --batch 16x8 --decode 16x8
bad '--slo: expected latency_ms<X' seed-mini $on --gpus 4 --batch 16x8 --slo 'latency<5'
bad "--slo: expected a number above 0, found 'nan'" seed-mini $on --gpus 4 --batch 16x8 --slo 'latency_ms<nan'
bad '--dtype: expected f16, bf16, f32, f64, fp8' seed-mini $on --gpus 4 --batch 16x8 --dtype f8
bad 'act=fp8: expected narrow weights' seed-mini $on --gpus 4 --batch 16x8 --dtype bf16+act=fp8
bad 'H % tp.*, while reading --mark$' seed-mini $on --gpus 4 --batch 16x8 --mark tp=3
bad 'expected a plan without cp, as a step of decode' seed-mini $on --gpus 4 --decode 16x8 --mark cp=4
bad '--mark: vpp = 2, expected a number of micro-batches that pp = 4 divides' seed-mini $on --gpus 4 --batch 16x8 --mark pp=4,vpp=2
bad '--mark: expected at most 4096 GPUs' seed-mini $on --gpus 4 --batch 16x8 --mark dp=8192
bad 'expected a plan without stages, placement, overlap and batch_reduce' seed-mini $on --gpus 4 --batch 16x8 --mark tp=4,mb=4,batch_reduce=2
bad '--place: expected --popularity' seed-mini $on --gpus 4 --batch 16x8 --place
bad '--place: expected a plan' seed-mini $on --gpus 4 --batch 16x8 --place --popularity popularity --mark tp=4
bad 'no legal plan' seed-mini $on --gpus 17 --batch 16x8
# the experts that a run chose, counted here and read from its taps: the same placement
expect 0 moeparity run --model seed-mini --batch 16x32 --plan tp=2 --out taps.safetensors
python3 - >counted <<'END'
import json, struct
f = open("taps.safetensors", "rb").read()
n = struct.unpack("<Q", f[:8])[0]
count = [0] * 64
for name, t in json.loads(f[8:8 + n]).items():
    if name.endswith(".topk_idx"):
        a, b = t["data_offsets"]
        for e in struct.unpack("<%dq" % ((b - a) // 8), f[8 + n + a:8 + n + b]):
            count[e] += 1
print("\n".join(map(str, count)))
END
for source in counted taps:taps.safetensors; do
    expect 0 moeparity search seed-mini $on --gpus 4 --batch 16x32 --mark dp=4,ep=4 \
        --popularity "$source" --place --write "placed.${source%%:*}"
done
cmp placed.counted placed.taps || fail "counted experts and those of taps are placed differently"
refused 3 'none.safetensors: ' \
    moeparity search seed-mini $on --gpus 4 --batch 16x8 --popularity taps:none.safetensors

sed 5s/.*/-1/ popularity >negative
refused 3 "negative: number 5: expected 0 or more, found '-1'" \
    moeparity search seed-mini $on --gpus 4 --batch 16x8 --popularity negative
head -63 popularity >short
refused 3 'short: expected one number for each of 64 experts, found 63' \
    moeparity search seed-mini $on --gpus 4 --batch 16x8 --popularity short
cat popularity short >long
refused 3 'long: expected one number for each of 64 experts, found 127' \
    moeparity search seed-mini $on --gpus 4 --batch 16x8 --popularity long
sed s/.*/0/ popularity >zero
refused 3 'zero: expected numbers with a sum above 0' \
    moeparity search seed-mini $on --gpus 4 --batch 16x8 --popularity zero

# Only plans that a system can run: each of the front is one, and without the word there are others.
expect 0 moeparity search seed-30b $on --gpus 16..32 --batch 256x2048 --for megatron --json m.json
has out '^ +[0-9]+ legal meshes that megatron cannot run$'
jq -e '.barred > 0 and all(.front[]; .plan | contains("scope=replica") | not)' m.json >/dev/null ||
    fail "json: $(head -c 400 m.json)"
jq -e '.barred == 0' s.json >/dev/null || fail 'plans are barred for no system'
for plan in $(jq -r '.front[].plan' m.json); do
    expect 0 moeparity plan "$plan" --emit megatron
done
refused 2 'none of [0-9]+ legal meshes of seed-30b can be run by vllm' \
    moeparity search seed-30b $on --gpus 16 --batch 256x2048 --for vllm
refused 2 'for: expected megatron, .* found .slang' moeparity search seed-30b $on --gpus 16 --batch 256x2048 --for slang
