# Launch lines as people have them: each means the plan that the table says, in one import.
LAUNCH=$DATA/launch
n=0
while read -r files model plan; do
    texts=()
    for file in ${files//+/ }; do texts+=(--import "$LAUNCH/$file"); done
    expect 0 moeparity plan "${texts[@]}" --model "$LAUNCH/models/$model"
    [ "$(head -1 out)" = "$plan" ] || fail "$files: $(head -1 out), expected $plan"
    [ "$(sed 1d out | grep -vc '^# ')" = 0 ] || fail "$files: a line that is no comment"
    has out '^# [a-z-]+, [0-9]+ ranks$'
    has out '^# stated by    '
    n=$((n + 1))
done < <(grep -v '^#' "$LAUNCH/lines.txt")
[ $n -ge 28 ] || fail "$n lines"

# What is stated, counted, compared, and what differs in spite of equal words.
mixtral=(--model "$LAUNCH/models/mixtral")
expect 0 moeparity plan --import "$LAUNCH/megatron_mixtral.sh" "${mixtral[@]}"
has out '^# megatron, 8 ranks$'
has out '^# stated by .*--nproc_per_node 8, --nnodes 1, .*--num-experts 8, .*--tensor-model-parallel-size 1,'
has out '^# not compared --seq-length 4096, .*--bf16$'
has out '^# no bearing   36 flags: --node_rank, .*--lr, .*--no-load-rng$'
expect 0 moeparity plan --import "$LAUNCH/sglang_new.sh" --model "$LAUNCH/models/gpt_oss"
has out '^# without --enable-dp-lm-head the vocabulary is cut over all ranks'
moe='--num-experts 64 --moe-router-topk 1'
expect 0 moeparity plan --model seed-30b --import "WORLD_SIZE=1 $moe"
has out '^# without --moe-router-pre-softmax top-1 is refused'
has out '^# no token is dropped, and seed-30b has a capacity$'
expect 0 moeparity plan --model seed-30b --import "WORLD_SIZE=1 $moe --moe-router-pre-softmax --moe-expert-capacity-factor 1.1 --moe-token-drop-policy position"
has out '^# --moe-token-drop-policy position keeps the winners of a top-k'
[ "$(grep -c pre-softmax out)" = 1 ] || fail 'a note on what is given'

# A model that the line is not for; a system that is asked for.
refused 2 'import: --num-layers 32, but qwen3_moe has 48' \
    moeparity plan --import "$LAUNCH/megatron_mixtral.sh" --model "$LAUNCH/models/qwen3"
refused 2 'vllm does not know 1 flag: .--tp-size' moeparity plan --model seed-30b --for vllm --import 'sglang serve m --tp-size 2'
expect 0 moeparity plan --for sglang --import 'sglang serve m --tp-size 2' "${mixtral[@]}"
[ "$(head -1 out)" = tp=2,etp=2 ] || fail "sglang: $(cat out)"
refused 2 'for: expected megatron, .*or transformers, found' moeparity plan --model seed-30b --for slang --import 'vllm serve m'

# Unknown flags are named all at once; one that is ignored is counted.
sed 's/--swiglu/--swiglu --made-up 3 --other/; s/--bf16/--bf16 --third=x/' "$LAUNCH/megatron_mixtral.sh" >unknown.sh
refused 2 "megatron does not know 3 flags: '--made-up', '--other', '--third'" \
    moeparity plan --import unknown.sh "${mixtral[@]}"
expect 0 moeparity plan --import unknown.sh "${mixtral[@]}" --ignore-flag --made-up --ignore-flag other --ignore-flag third
has out '^# no bearing   39 flags: .*--made-up, --other,'
refused 2 'ignore-flag belongs to --import' moeparity plan --model seed-30b seed-32 --ignore-flag x

# What only the running script knows, and how to say it.
cat >nodes.sh <<'END'
#!/bin/bash
torchrun --nnodes $NODES --nproc_per_node 8 pretrain_gpt.py --tensor-model-parallel-size ${TP:-2} \
    --expert-tensor-parallel-size 1 --num-layers 32 $EXTRA
END
refused 2 'nnodes: \$NODES is known only when the script runs: say NAME=VALUE' \
    moeparity plan --import nodes.sh "${mixtral[@]}"
expect 0 moeparity plan --import 'NODES=2 TP=4' --import nodes.sh "${mixtral[@]}"
[ "$(head -1 out)" = tp=4,dp=4 ] || fail "variables: $(head -1 out)"
has out '^# taken as empty .EXTRA: the script does not set them$'
# What a branch may set or not: without bearing it is counted, else it must be settled.
sed -i '1a if [ "$1" = moe ]; then EXTRA="--lr 1 --num-experts 8"; fi' nodes.sh
refused 2 'a branch of the script sets or not 1 flag: .--num-experts' \
    moeparity plan --import NODES=2 --import nodes.sh "${mixtral[@]}"
expect 0 moeparity plan --import NODES=2 --import nodes.sh "${mixtral[@]}" --ignore-flag num-experts
has out '^# no bearing   2 flags: --lr, --num-experts$'
expect 0 moeparity plan --import 'NODES=2 EXTRA="--num-experts 8"' --import nodes.sh "${mixtral[@]}"
has out '^# stated by .*--num-experts 8$'

# Ranks: launchers agree with the variable, or it is said.
refused 2 'WORLD_SIZE is 8, and the launcher starts 4 ranks' \
    moeparity plan --import 'export WORLD_SIZE=8; mpirun -n 4 python pretrain_gpt.py --num-layers 32' "${mixtral[@]}"
expect 0 moeparity plan --import 'export WORLD_SIZE=4; mpirun -n4 python pretrain_gpt.py --num-layers 32' "${mixtral[@]}"
refused 2 'no launcher says how many ranks' moeparity plan --import 'python pretrain_gpt.py --num-layers 32' "${mixtral[@]}"
refused 2 'ranks % \(tp\*cp\*pp\) = 4 % 3' moeparity plan --import 'mpirun -n 4 python pretrain_gpt.py --tensor-model-parallel-size 3' "${mixtral[@]}"

# Which line launches: all are named, and one is chosen.
cat >two.sh <<'END'
#!/bin/bash
python prepare.py --input x
if [ "$1" = wide ]; then
    mpirun -n 8 python pretrain_gpt.py --tensor-model-parallel-size 4 --num-layers 32
else
    mpirun -n 8 python pretrain_gpt.py --tensor-model-parallel-size 2 --num-layers 32
fi
END
refused 2 "two.sh: 3 launch lines, choose one by --launch N: 1 \(line 2\) 'python prepare.py --input x', 2 \(line 4\) .*, 3 \(line 6\)" \
    moeparity plan --import two.sh "${mixtral[@]}"
expect 0 moeparity plan --import two.sh "${mixtral[@]}" --launch 2
[ "$(head -1 out)" = tp=4,dp=2,etp=4 ] || fail "second of three: $(head -1 out)"
expect 0 moeparity plan --import two.sh "${mixtral[@]}" --launch 3
[ "$(head -1 out)" = tp=2,dp=4,etp=2 ] || fail "third of three: $(head -1 out)"
has out "^# other lines  1 \(line 2\) 'python prepare.py --input x', 2 \(line 4\)"
refused 2 'two.sh: 3 launch lines, choose one' moeparity plan --import two.sh "${mixtral[@]}" --launch 4
sed -i '4d' two.sh
expect 0 moeparity plan --import two.sh "${mixtral[@]}"
has out "^# other lines  1 \(line 2\) 'python prepare.py --input x'$"
refused 2 'launch 1: no script has several launch lines' moeparity plan --import "$LAUNCH/nemo.yaml" "${mixtral[@]}" --launch 1
refused 2 'launch belongs to --import' moeparity plan --model seed-30b seed-32 --launch 1

printf '#!/bin/sh\ncd /tmp\necho vllm serve m -tp 2\n' >none.sh
refused 2 'none.sh: no line of it starts ranks' moeparity plan --import none.sh "${mixtral[@]}"
sed -i 's/echo //' none.sh
expect 0 moeparity plan --import none.sh "${mixtral[@]}"

# Files that a flag names are given beside the line, whose words go before theirs.
qwen3=(--model "$LAUNCH/models/qwen3")
refused 2 'config serve.yaml: what the file says counts: give it in an --import too' \
    moeparity plan --import "$LAUNCH/vllm_config.sh" "${qwen3[@]}"
expect 0 moeparity plan --import "$LAUNCH/vllm_config.sh" --import "$LAUNCH/vllm_config.yaml" "${qwen3[@]}"
has out '^# stated by    --config serve.yaml, --tensor-parallel 4, pipeline_parallel_size=2, .*enable-eplb=false$'
has out '^# replaced     tensor-parallel-size=2$'
refused 2 'config=serve.yaml: with = the file is not read' \
    moeparity plan --import 'vllm serve m --config=serve.yaml' --import "$LAUNCH/vllm_config.yaml" "${qwen3[@]}"
refused 2 'hostfile /job/hosts: the file says how many ranks' \
    moeparity plan --import "$LAUNCH/hostfile.sh" --import "$LAUNCH/deepspeed_auto.json" "${qwen3[@]}"
refused 2 'hostfile: a second hostfile' moeparity plan --model seed-30b --import "$LAUNCH/hostfile" --import "$LAUNCH/hostfile"
sed 's/num_nodes 2/num_nodes 4/' "$LAUNCH/hostfile.sh" >more.sh
refused 2 'num_nodes 4, and the hostfile has 3' \
    moeparity plan --import more.sh --import "$LAUNCH/deepspeed_auto.json" --import "$LAUNCH/hostfile" "${qwen3[@]}"
sed 's/node-c slots=8/node-c slots=4/' "$LAUNCH/hostfile" >hosts
refused 2 'num_nodes 2: how many ranks a host has is missing' \
    moeparity plan --import "$LAUNCH/hostfile.sh" --import "$LAUNCH/deepspeed_auto.json" --import hosts "${qwen3[@]}"
expect 0 moeparity plan --import 'mpirun -f hosts python pretrain_gpt.py --num-experts 8' --import hosts "${mixtral[@]}"
[ "$(head -1 out)" = dp=20 ] || fail "slots: $(head -1 out)"
refused 2 'include a@b: which devices are left is not read' \
    moeparity plan --import 'deepspeed --include a@b train.py' --import "$LAUNCH/deepspeed_auto.json" "${qwen3[@]}"

# Names cut short, where the system takes them; --no-NAME.
refused 2 "megatron does not know 1 flag: '--tensor-model-parallel' \(cut short of --tensor-model-parallel-size\)" \
    moeparity plan --import 'WORLD_SIZE=4 --tensor-model-parallel 2' "${mixtral[@]}"
refused 2 "vllm does not know 1 flag: '--data-parallel' \([0-9]+ names begin so\)" \
    moeparity plan --import 'vllm serve m --data-parallel 2' "${mixtral[@]}"
refused 2 'no-enable-expert-parallel is given twice' \
    moeparity plan --import 'vllm serve m --enable-expert-parallel --no-enable-expert-parallel' "${mixtral[@]}"
expect 0 moeparity plan --import 'vllm serve m -tp=2 --no-enable-expert-parallel' --import "$LAUNCH/vllm_config.yaml" "${mixtral[@]}"
[ "$(head -1 out)" = tp=2,pp=2,dp=2,etp=4 ] || fail "switched off: $(head -1 out)"
has out '^# replaced     tensor-parallel-size=2, enable-expert-parallel=true$'

# What the line says and the system would refuse.
expect 0 moeparity plan --import 'mpirun -n 8 python -m torchtitan.train --parallelism.tensor_parallel_degree 8' "${mixtral[@]}"
! grep -q 'refuses it' out || fail 'eight kv heads on eight ranks'
expect 0 moeparity plan --import 'torchrun --nproc-per-node 8 -m torchtitan.train --parallelism.tensor_parallel_degree 8' "${qwen3[@]}"
has out '^# --emit refuses it: torchtitan: kv heads: expected equal parts, found 4 % 8 = 4$'

# A long script: a list that grows line by line.
{
    echo 'A=(--num-layers 32)'
    for i in $(seq 300); do echo "A+=(--data-path /data/of/this/run/part_$i)"; done
    echo 'mpirun -n 4 python pretrain_gpt.py ${A[@]}'
} >long.sh
expect 0 moeparity plan --import long.sh "${mixtral[@]}"
has out '^# no bearing   300 flags: '

# Malformed texts: place and reason.
printf '#!/bin/sh\nvllm serve "m -tp 2\n' >quote.sh
refused 3 'quote.sh:2: what opens here is never closed' moeparity plan --model seed-30b --import quote.sh
printf 'A=(1 2\n' >list.sh
refused 3 'list.sh:1: a list is never closed' moeparity plan --model seed-30b --import list.sh
printf '{"train_batch_size": 8, "train_batch_size": 8}' >twice.json
refused 3 'twice.json:1' moeparity plan --model seed-30b --import twice.json
printf '{"tensor_parallel": {"autotp_size": 2}, "train_batch_size": 8, "pipe": 1}' >unknown.json
refused 2 "deepspeed does not know 1 flag: 'pipe'" moeparity plan --model seed-30b --import unknown.json
printf '[parallelism]\ntensor_parallel_degree 2\n' >key.toml
refused 3 'key.toml:2: expected key = value' moeparity plan --model seed-30b --import key.toml
printf '[parallelism]\ntensor_parallel_degree = """2"""\n' >text.toml
refused 3 'text.toml:2: expected a text of one line' moeparity plan --model seed-30b --import text.toml
printf 'a: 1\ntp-size: [2\n' >open.yaml
refused 3 'open.yaml:2: no valid YAML' moeparity plan --model seed-30b --import open.yaml
printf 'tp-size: 2\ntp-size: 4\n' >twice.yaml
refused 3 'twice.yaml:2: tp-size: given twice, first in line 1' moeparity plan --model seed-30b --for sglang --import twice.yaml
printf 'tp-size: &n 2\nep-size: *n\n' >alias.yaml
refused 3 'alias.yaml:2: ep-size: expected a value, found an alias' moeparity plan --model seed-30b --for sglang --import alias.yaml
sed -i 's/&n //; s/\*n/2/' alias.yaml
expect 0 moeparity plan --for sglang --import alias.yaml "${mixtral[@]}"
[ "$(head -1 out)" = tp=2,ep=2 ] || fail "YAML: $(cat out)"
printf '[training]\nfoo = 1\n[parallelism]\ntensor_parallel_degree = 2 # half\ndata_parallel_shard_degree = 2\n' >foo.toml
refused 2 "torchtitan does not know 1 flag: 'training.foo'" moeparity plan --import foo.toml "${mixtral[@]}"
sed -i /foo/d foo.toml
expect 0 moeparity plan --import foo.toml "${mixtral[@]}"
[ "$(head -1 out)" = tp=2,dp=2,etp=2 ] || fail "TOML: $(cat out)"
