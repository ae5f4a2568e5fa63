# Plans as launch arguments of other systems, and back.
expect 0 moeparity plan seed-32-stage --emit megatron
[ ! -s err ] || fail 'words on stderr'
for line in WORLD_SIZE=32 '--tensor-model-parallel-size 4' '--pipeline-model-parallel-size 4' \
    '--expert-model-parallel-size 8' '--expert-tensor-parallel-size 1' '--num-experts 64' \
    '--moe-router-topk 1' '--moe-expert-capacity-factor 1.1' '--global-batch-size 16'; do
    has out "^$line\$"
done
cp out args
expect 0 moeparity plan --import args
[ "$(cat out)" = tp=4,pp=4,dp=2,ep=8,mb=8 ] || fail "back: $(cat out)"
expect 0 moeparity plan --import "$(cat args)" --model seed-30b
[ "$(cat out)" = tp=4,pp=4,dp=2,ep=8,mb=8 ] || fail "back from a text: $(cat out)"
expect 0 moeparity plan "$(cat out)" # and it is a plan

refused 2 'megatron: scope=replica: .* of its own stage' moeparity plan seed-32 --emit megatron
refused 2 'vllm: scope=replica' moeparity plan seed-32 --emit vllm
refused 2 'vllm: expert mesh: expected ep = tp\*dp = 8' moeparity plan seed-32-stage,ep=4 --emit vllm
refused 2 'vllm: capacity: it drops no token' moeparity plan seed-32-stage --emit vllm
refused 2 "emit: expected megatron or vllm, found 'sglang'" moeparity plan seed-32-stage --emit sglang
refused 2 'emit: expected a plan' moeparity plan --emit megatron
refused 2 'H % tp = 16 % 3' moeparity plan tp=3 --emit megatron
expect 0 moeparity plan --model "$ORACLE/mixtral/tiny" tp=2,dp=2,ep=4 --emit vllm
has out '^--enable-expert-parallel$'

refused 2 "unknown or unsupported flag '--virtual'" moeparity plan --import 'WORLD_SIZE=1 --virtual 2'
refused 2 'import: expected no plan beside it' moeparity plan seed-32 --import args
refused 2 'but shadow-a has' moeparity plan --model shadow-a --import args
refused 3 '/: cannot be read' moeparity plan --import /
printf 'WORLD_SIZE=1\0' >zero
refused 3 'zero: expected a text' moeparity plan --import zero
