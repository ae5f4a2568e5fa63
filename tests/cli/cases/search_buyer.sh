# search answers who buys: objectives, a price, few GPUs beside many, what one would take without a search.
preset="$DATA/../../harness/perf/machine/presets/gpu-400t-64g.yaml"
sed 's/^machine: .*/machine: priced\nprice: 3.6/' "$preset" >priced.yaml
on="--machine priced.yaml"
work="--gpus 2..8 --batch 16x64"

expect 0 moeparity search seed-mini $on $work --json s.json
has out '^front +latency/ms +tokens/s +per GPU +cost/M +GB +GPUs'
# no plan of the front is beaten by one of as few GPUs, and the smallest count has one
jq -e '.front as $f
       | all($f[]; . as $a | all($f[]; (.gpus <= $a.gpus and .latency_s <= $a.latency_s
                                        and .tokens_per_s >= $a.tokens_per_s and .plan != $a.plan) | not))
       and ([$f[].gpus] | min == 2 and max > 2)
       and ([$f[].latency_s] | . == sort)
       and all($f[]; (.tokens_per_s_per_gpu * .gpus / .tokens_per_s - 1 | fabs) < 1e-9)
       and all($f[]; (.cost_per_million_tokens * .tokens_per_s / .gpus / 1000 - 1 | fabs) < 1e-9)' \
    s.json >/dev/null || fail "front: $(head -c 400 s.json)"

# what is best is best among the front
best() # WORD FIGURE
{
    expect 0 moeparity search seed-mini $on $work --objective "$1" --json "$1.json"
    jq -e ".best.$2 == ([.front[].$2] | $3)" "$1.json" >/dev/null || fail "$1: $(jq -c .best "$1.json")"
}
best latency latency_s min
best tokens_per_s tokens_per_s max
best tokens_per_s_per_gpu tokens_per_s_per_gpu max
best cost cost_per_million_tokens min
[ "$(jq -c .best.plan latency.json)" = "$(jq -c .best.plan s.json)" ] || fail 'latency is not what is meant without a word'
[ "$(jq -c .best.plan latency.json)" != "$(jq -c .best.plan cost.json)" ] || fail 'the cheapest is the fastest'
cmp <(jq -c .front latency.json) <(jq -c .front cost.json) || fail 'the front depends on the objective'

# what people take, a line each: not legal, does not fit, or its terms
expect 0 moeparity search seed-30b $on --gpus 32 --batch 256x2048 --json s.json
has out '^usual +tp alone \(tp=32\): H % tp'
has out '^usual +ep of all GPUs \(dp=32,ep=32\): latency [0-9.]+ ms, best [0-9.]+; .*; expert all-to-all \+[0-9.]+ ms'
has out '^usual +the default, dp alone \(dp=32\): '
jq -e '(.usual | length) == 3 and (.usual[0].refused | startswith("H % tp"))
       and (.usual[0] | has("latency_s") | not)
       and .usual[1].latency_s >= .best.latency_s and .usual[1].gpus == 32' s.json >/dev/null ||
    fail "usual: $(jq -c .usual s.json)"
expect 0 moeparity search seed-30b $on --gpus 4 --batch 256x2048
has out '^usual +the default, dp alone \(dp=4\): does not fit, [0-9.]+ GB of 64.00$'
expect 0 moeparity search seed-mini $on --gpus 1 --batch 16x8
has out '^usual +the default, dp alone \(tp=1\): is the best$'

# the seed's readings are of its own models
expect 0 moeparity search seed-mini $on --gpus 16 --batch 256x8
has out '^seed-16 '
expect 0 moeparity search "$ORACLE/mixtral/tiny" $on --gpus 16 --batch 256x8
! grep -q seed out || fail "the seed's plan beside another model: $(grep seed out)"

refused 2 "objective: expected latency, tokens_per_s, tokens_per_s_per_gpu or cost, found 'price'" \
    moeparity search seed-mini $on $work --objective price
refused 2 'objective cost: gpu-400t-64g has no price' \
    moeparity search seed-mini --machine gpu-400t-64g $work --objective cost
expect 0 moeparity search seed-mini --machine gpu-400t-64g $work --json none.json
! grep -q cost out none.json || fail 'a cost without a price'
sed 's/^price: .*/price: free/' priced.yaml >free.yaml
refused 3 "free.yaml:[0-9]+:8: price: expected a number from 1e-06 to 1e\+06, found 'free'" \
    moeparity search seed-mini --machine free.yaml $work
expect 0 moeparity perf check priced.yaml
