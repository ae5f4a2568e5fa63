# Plans as launch arguments of other systems, and back.
expect 0 moeparity plan --model seed-30b seed-32-stage --emit megatron
[ ! -s err ] || fail 'words on stderr'
for line in WORLD_SIZE=32 '--tensor-model-parallel-size 4' '--pipeline-model-parallel-size 4' \
    '--expert-model-parallel-size 8' '--expert-tensor-parallel-size 1' '--num-experts 64' \
    '--moe-router-topk 1' '--moe-expert-capacity-factor 1.1' '--global-batch-size 16'; do
    has out "^$line\$"
done
cp out args
expect 0 moeparity plan --model seed-30b --import args
[ "$(head -1 out)" = tp=4,pp=4,dp=2,ep=8,sp=1,mb=8 ] || fail "back: $(cat out)"
expect 0 moeparity plan --import "$(cat args)" --model seed-30b
[ "$(head -1 out)" = tp=4,pp=4,dp=2,ep=8,sp=1,mb=8 ] || fail "back from a text: $(cat out)"
expect 0 moeparity plan --model seed-30b "$(head -1 out)" # and it is a plan

refused 2 'megatron: scope=replica: .* of its own stage' moeparity plan --model seed-30b seed-32 --emit megatron
refused 2 'vllm: scope=replica' moeparity plan --model seed-30b seed-32 --emit vllm
refused 2 'vllm: expert mesh: expected ep = tp\*dp = 8' moeparity plan --model seed-30b seed-32-stage,ep=4 --emit vllm
refused 2 'vllm: capacity: it drops no token' moeparity plan --model seed-30b seed-32-stage --emit vllm
refused 2 "emit: expected megatron, .*or torchtitan, found 'slang'" moeparity plan --model seed-30b seed-32-stage --emit slang
refused 2 'emit: expected a plan' moeparity plan --model seed-30b --emit megatron
refused 2 'H % tp = 16 % 3' moeparity plan --model seed-30b tp=3 --emit megatron
expect 0 moeparity plan --model "$ORACLE/mixtral/tiny" tp=2,dp=2,ep=4 --emit vllm
has out '^--enable-expert-parallel$'

refused 2 "megatron does not know 1 flag: '--virtual'" moeparity plan --model seed-30b --import 'WORLD_SIZE=1 --virtual 2'
refused 2 'import: expected no plan beside it' moeparity plan --model seed-30b seed-32 --import args
refused 2 'but shadow-a has' moeparity plan --model shadow-a --import args
refused 3 '/: .*[Dd]irectory' moeparity plan --model seed-30b --import /
printf 'WORLD_SIZE=1\0' >zero
refused 3 'zero:1:13: expected text, found the character U.0000' moeparity plan --model seed-30b --import zero

# Every system's words come back as the plan; DeepSpeed's are a file with comments before it.
mixtral=(--model "$ORACLE/mixtral/tiny")
for system in vllm sglang deepspeed torchtitan; do
    expect 0 moeparity plan "${mixtral[@]}" tp=2,dp=2,ep=4 --emit $system
    cp out args
    expect 0 moeparity plan "${mixtral[@]}" --import args
    [ "$(head -1 out)" = tp=2,dp=2,ep=4 ] || fail "back from $system: $(cat out)"
    has out "^# $system, 4 ranks"
done

# The ranks as a system numbers them: vLLM has stages before data.
expect 0 moeparity plan "${mixtral[@]}" tp=2,pp=2,dp=2,ep=4 --for vllm
has out '^vocabulary 192 rows, from 160 on padding$'
has out '^  ep   of rank 0: 0 1 4 5$'
has out '^ +2 +1 +0 +0 .* 0-95 '
expect 0 moeparity plan "${mixtral[@]}" tp=2,pp=2,dp=2,ep=4 --for vllm --json map.json
expect 0 jq -c '.ranks[2] | [.stage, .dp, .groups.ep, .groups.pp, .vocabulary, .rows]' map.json
[ "$(cat out)" = '[1,0,[2,3,6,7],[0,2],[0,96],null]' ] || fail "JSON: $(cat out)"
expect 0 moeparity plan "${mixtral[@]}" tp=2,pp=2,dp=2,ep=4,mb=3 --for megatron --json map.json
expect 0 jq -c '.ranks[2] | [.stage, .dp, .groups.ep, .groups.pp, .vocabulary, .rows]' map.json
[ "$(cat out)" = '[0,1,[0,1,2,3],[2,6],[0,80],[1,3,5]]' ] || fail "JSON: $(cat out)"
expect 0 moeparity plan "${mixtral[@]}" tp=2,pp=2,dp=2,ep=4,mb=3 --json map.json
expect 0 jq -c '.ranks[2] | [.groups.dp, .groups.etp, .groups.edp, .rows]' map.json
[ "$(cat out)" = '[[0,2],[2],[2],[3,4,5]]' ] || fail "JSON: $(cat out)"
# Virtual stages: what each stage works on, tick by tick, and its runs of layers.
expect 0 moeparity plan --model seed-mini pp=2,vpp=2,mb=3
has out '^  stage 1 +\. +0a +1a +0b +1b +2a +\. +2b$'
has out '^ +1 +1 .* 4-7 +12-15 '
expect 0 moeparity plan --model seed-mini pp=2,vpp=2,mb=3 --json map.json
expect 0 jq -c '[.vpp, .ranks[1].virtual_stages, .ranks[1].layers]' map.json
[ "$(cat out)" = '[2,[[4,8],[12,16]],null]' ] || fail "JSON: $(cat out)"
refused 2 'vllm: scope=replica' moeparity plan "${mixtral[@]}" pp=2,ep=2,scope=replica --for vllm
# 128 heads, 18,432 columns of dense layers, 2,048 of the shared expert and of experts; rank 1 of two.
expect 0 moeparity plan --model "$DATA/launch/models/deepseek" tp=2,ep=1,etp=2 --for megatron --json map.json
expect 0 jq -c '.ranks[1] | [.heads, .dense_inner, .shared_inner, .inner]' map.json
[ "$(cat out)" = '[[64,128],[9216,18432],[1024,2048],[1024,2048]]' ] || fail "JSON: $(cat out)"
refused 2 'json: expected a plan' moeparity plan --model seed-30b --json map.json

# The legal plans that a system can run.
expect 0 moeparity plan --model seed-30b shadow-a --gpus 4
all=$(wc -l <out)
expect 0 moeparity plan --model seed-30b shadow-a --gpus 4 --for megatron
[ "$(wc -l <out)" -lt "$all" ] || fail 'none is left out'
! grep -q scope=replica out || fail 'a plan that it cannot run'
refused 2 'no legal plan on 4 ranks that can be run by vllm' moeparity plan --model seed-30b seed-mini --gpus 4 --for vllm
