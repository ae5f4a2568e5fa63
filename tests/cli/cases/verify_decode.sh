# Steps with a cache, on every axis of a plan, in text and for machines; and what is refused, each beside what is not.
models=$DATA/../mutation/models
expect 0 moeparity verify shadow-a --plan tp=2,pp=2,dp=2,ep=2,etp=2,mb=2,sp=1 --batch 5x8 --decode 20 --chunk 3 --json v.json
has out '^decode     [0-9]+ steps in 5 slots, 8 of them taken over: prompts of 5 to 8 tokens, at most 3 in a step, then [0-9]+ single tokens$'
has out '^  greedy     [0-9]+ tokens chosen on the ranks of the last stage, 0 wrong$'
has out '^VERIFIED   bit-identical$'
jq -e '.plans[0].cases[0] | .verdict == "PASS" and .decode.slots == 5 and .decode.sequences == 13 and .decode.greedy_wrong == 0
       and .decode.greedy > 2 * .decode.single_tokens and .routing.dropped > 0' v.json >/dev/null || fail "v.json: $(jq -c '.plans[0].cases[0].decode' v.json)"
expect 0 moeparity verify shadow-a --plan tp=2 --batch 4x8 --numerics exact --json v.json
jq -e '.plans[0].cases[0].decode == null' v.json >/dev/null || fail 'steps that nobody asked for'

# Windows, chunks, two kinds of heads, sinks; the other scope, rounds, placements; steps of one token and of a whole prompt.
expect 0 moeparity verify "$models/kinds.yaml" --plan tp=3,pp=2,ep=3,mb=2 --batch 5x9 --decode 24 --chunk 1 --allow-partial
expect 0 moeparity verify "$models/heads.yaml" --plan tp=2,dp=2,ep=4,mb=2 --batch 5x11 --decode 24 --chunk 11 --allow-partial
expect 0 moeparity verify shadow-b --plan tp=3,pp=2,ep=6,scope=replica,mb=2,rounds=2 --batch 6x9 --decode 22 --allow-partial
expect 0 moeparity verify shadow-a --plan tp=2,pp=2,vpp=2,ep=2,overlap=dispatch+shared,batch_reduce=2,mb=2 --batch 5x8 --decode 3 --allow-partial
expect 0 moeparity verify "$ORACLE/mixtral/window_top1_yarn" --plan tp=2,dp=2,ep=2 --batch 4x9 --decode 20 --numerics exact,fp32,bf16 --allow-partial
expect 0 moeparity verify "$ORACLE/deepseek_v3/yarn_bf16" --plan tp=2,dp=2,ep=2 --batch 4x7 --decode 16 --allow-partial

# Slots counted over a row of a step, over all of a step.
expect 0 moeparity verify shadow-a --set capacity.domain=sequence --plan tp=2,dp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 4 --allow-partial --json v.json
jq -e '.plans[0].cases[0].routing.dropped > 0' v.json >/dev/null || fail 'nothing dropped within a row'
expect 0 moeparity verify shadow-a --set capacity.domain=batch --plan tp=2,pp=2,ep=2 --batch 5x8 --decode 20 --chunk 4 --allow-partial

refused() { expect 2 moeparity verify "$@"; has err "$said"; [ "$(wc -l <err)" = 1 ] || fail "$(cat err)"; }
said='--decode: cp=2: keys that are cut over ranks are not kept, expected cp=1' refused shadow-a --plan tp=2,cp=2 --decode 4
said='--decode: .*: keys that are made anew from latents are compared in exact numerics alone, found --numerics exact,fp32' refused "$models/latent.yaml" --plan tp=1 --decode 4 --numerics exact,fp32
said='--decode: rows of a cache are not padded' refused shadow-a --decode 4 --padding
said='--decode: steps have no gradients' refused shadow-a --decode 4 --grad
said='--decode: references of steps are not kept in --checkpoint' refused shadow-a --decode 4 --checkpoint c
said='--chunk: it is of --decode, which is not there' refused shadow-a --chunk 4
said="--decode: expected .*, found '0'" refused shadow-a --plan tp=1 --decode 0
