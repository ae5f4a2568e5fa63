# search --train: the front of steps of training, its files, refusals.
STEPS="moeparity search seed-mini --train --machine h100-sxm --gpus 2..4 --batch 8x32"
expect 0 $STEPS --zero 1 --json steps.json --write trained.yaml
has out '^training   8 rows x 32 tokens; zero 1, recompute none, gradients F32$'
jq -e '.schema == 1 and (.front | length) > 0 and .front == (.front | sort_by(.step_s))' steps.json >jq.out || fail "steps.json"
expect 0 moeparity predict seed-mini --train --machine h100-sxm --batch 8x32 --zero 1 --plan trained.yaml --json step.json
jq -s -e '.[0].front[0].step_s == .[1].step_s.value' steps.json step.json >jq.out || fail "search and predict differ"
for option in --slo='latency_ms<50' --objective=cost; do
    refused 2 '--train: not with --decode, --for, --objective, --slo, --mark, --place' $STEPS "$option"
done
refused 2 '--recompute belongs to --train' moeparity search seed-mini --machine h100-sxm --gpus 2 --batch 8x32 --recompute full
refused 4 'no plan fits: the smallest needs .* GB of a GPU.s 80.00 .--zero and --recompute' moeparity search seed-30b --train --machine h100-sxm --gpus 1 --batch 8x32
# a stream that is split over tp is a candidate, and what is written is that plan
expect 0 moeparity search seed-30b --train --machine h100-sxm --gpus 26 --batch 64x2048 --zero 1 --recompute full --write split.yaml
has out ' tp=2,dp=13,ep=13,etp=2,sp=1$'
grep -q '^sp: 1$' split.yaml || fail "split.yaml: $(cat split.yaml)"
# of a row too long for a GPU's share of the batch each of cp ranks has a part
expect 0 moeparity search seed-mini --train --machine h100-sxm --gpus 2 --batch 1x16384 --dtype bf16
has out ' cp=2,cp_kind=[a-z]+'
# so are virtual stages
expect 0 moeparity search seed-30b --train --machine h100-sxm --gpus 16 --batch 16x2048 --zero 1 --recompute full
has out ' pp=2,vpp=8,dp=8,ep=8,mb=2$'
