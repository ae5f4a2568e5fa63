# The pass back, on every axis of a plan, in text and for machines; and what it refuses.
models=$SELF/../gradients
expect 0 moeparity verify "$models/tied.yaml" --plan tp=2,pp=3,dp=2,ep=2,mb=2,placement=0/0+1/1/1 --plan dp=2,ep=2 --numerics exact --grad --json v.json
has out '^  gradients  PASS: 88 gradients, '
has out '^VERIFIED   bit-identical, gradients too$'
jq -e '[.plans[].cases[].gradients | .verdict == "PASS" and .different == 0 and .gradients == 88 and .failing == []] | all' v.json >/dev/null ||
    fail "v.json: $(jq -c '.plans[].cases[].gradients' v.json)"
jq -e '.plans[0].cases[0].gradients.sent_elements | .tp > 0 and .ep > 0 and .pp > 0 and .weights > 0 and .etp == 0' v.json >/dev/null || fail 'what was sent'
expect 0 moeparity verify "$models/gated.yaml" --plan tp=2,etp=2,mb=2 --plan tp=2,pp=2,dp=2,ep=4,scope=replica --numerics exact --grad
expect 0 moeparity verify "$models/gated.yaml" --plan tp=2 --numerics exact --json v.json
jq -e '.plans[0].cases[0].gradients == null' v.json >/dev/null || fail 'gradients that nobody asked for'

# Experts that no token chooses are exercised: routing is dealt, there and back.
expect 0 moeparity verify shadow-a --plan dp=2,ep=2 --layers 1 --batch 2x4 --numerics exact --grad --json v.json
has out '^ +[0-9]+ of 20 experts have no row: their gradients are 0$'
has out '^ +exercised with routing dealt: PASS, 0 of 20 left without a row$'
jq -e '.plans[0].cases[0].gradients | .idle_experts > 0 and .exercised and .idle_in_exercise == 0' v.json >/dev/null || fail 'the exercise'

# A checkpoint of another family with the same settings; others are refused by the setting.
expect 0 moeparity verify "$ORACLE/mixtral/sharded_tied_mqa" --plan tp=2,ep=2 --numerics exact --grad
refused() { expect 2 moeparity verify "$@"; has err "$said"; [ "$(wc -l <err)" = 1 ] || fail "$(cat err)"; }
said="--grad: mixtral: no gradient is known for what it says of 'rope.scaling'" refused "$ORACLE/mixtral/window_top1_yarn" --grad
said="--grad: phimoe: no gradient is known for what it says of 'norm'" refused "$ORACLE/phimoe/tiny" --grad
said='--grad: gradients are compared in exact numerics, found --numerics fp32' refused shadow-a --grad --numerics fp32
said='--grad: no gradient is known for all degrees of tp=2,cp=2; tp=2 has one' refused shadow-a --grad --plan tp=2,cp=2
said='--grad: no gradient is known for rows that are padded' refused shadow-a --grad --padding
said='--grad: no gradient is known for all degrees of tp=2,sp=1; tp=2 has one' refused shadow-a --grad --plan tp=2,sp=1
said='--grad: no gradient is known for all degrees of tp=2,batch_reduce=2,mb=2; tp=2,mb=2 has one' refused shadow-a --grad --plan tp=2,mb=2,batch_reduce=2
