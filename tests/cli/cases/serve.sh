# moeparity predict --serve: reports, the gate of --slo, files of lengths, refusals.

SERVE="moeparity predict seed-30b --plan dp=8,ep=8 --machine h100-sxm --dtype bf16 --serve"

expect 0 $SERVE 2048x512
has out '^plan       dp=8,ep=8 on 8 GPUs$'
has out '^prompts    whole, between steps$'
has out '^slots      [0-9]+ requests in flight, .* more do not fit$'
has out '^  ttft_ms +[0-9.]+ ms +[0-9.]+ - [0-9.]+ +to the first token$'
has out '^  tokens_per_s_gpu +[0-9.]+ /s'
[ ! -s err ] || fail "something on stderr"

expect 0 $SERVE 2048x512 --chunk 1024 --slo 'ttft_ms<500,tpot_ms<20'
has out '^prompts    in chunks of 1024 tokens, in [0-9.]+ % of the steps$'
has out 'more miss the limits, ttft_ms < 500, tpot_ms < 20$'
awk '$1 == "tpot_ms" { exit !($2 <= 20) }' out || fail "the limit is not met"
expect 0 $SERVE 2048x512 --slots 64 --prefill tp=8
has out '^prompts    tp=8 on 8 other GPUs$'
has out '^slots      64 requests in flight, 64.0 of them decode: as asked$'
has out '^transfer   [0-9.]+ ms for the keys and values of a prompt$'
expect 0 $SERVE 2048x512 --slots 64 --prefill tp=8 --json s.json
jq -e '.schema == 1 and .gpus == 8 and .prefill_gpus == 8 and .slots == 64 and .fits and .meets and
    (.figures | length) == 9 and (.figures.tpot_ms | .low < .value and .value < .high) and
    .transfer_ms > 0 and .all_gpus > 8' s.json >jq.out || fail "s.json"
tpot=$(jq '.figures.tpot_ms.value' s.json)
awk -v x="$tpot" '$1 == "tpot_ms" { exit !($2 / x < 1.001 && x / $2 < 1.001) }' out || fail "two figures"
expect 1 $SERVE 2048x512 --slo 'tpot_ms<0.001'
has out '^WARNING    the limits are not met$'

# a file says the same as numbers do
expect 0 $SERVE 2048x512 --slots 64
cp out numbers
printf 'input,output,weight\n2048,512,3\n2048,512,1\n' >mix.csv
expect 0 $SERVE mix.csv --slots 64
cmp -s out numbers || fail "a file of one length is another mix"

# experts of each layer in places of its own, a copy of one of them in every layer
for layer in $(seq 0 15); do
    seq 0 63 | awk -v l="$layer" '{p = p ($1 ? ", " : "") ($1 + 4 * l) % 64; if ($1 % 32 == 31) p = p ", " ($1 + 4 * l + 32) % 64} END {print "  - [" p "]"}'
done | sed '1i dp: 2\nep: 2\nphysical:' >maps.yaml
expect 0 moeparity predict seed-mini --plan maps.yaml --machine h100-sxm --serve 64x64 --slots 64 --json maps.json
has out '^experts +66 of each layer stored for 64, each layer has its own places; balance of a step [0-9.]+ %$'
jq -e '.experts_stored == 66 and .balance > 0.5 and .balance <= 1' maps.json >/dev/null || fail "maps.json"
expect 0 moeparity predict seed-mini --plan dp=2,ep=2 --machine h100-sxm --serve 64x64 --slots 64
has out '^experts +64 of each layer stored for 64, one placement for all layers;'

refused 3 'mix.csv:2:2: output: expected tokens from 2' sh -c 'printf "input,output\n7,1\n" >mix.csv; exec "$@"' sh $SERVE mix.csv
refused 3 'no-such-file' $SERVE no-such-file
refused 2 "--serve: expected PROMPTxOUTPUT such as 2048x512 or a file, found '2048y512'" $SERVE 2048y512
printf 'input,output\n2048,512\n' >2048y512
expect 0 $SERVE 2048y512 --slots 64
refused 2 '--serve: expected an output of 2 tokens or more' $SERVE 2048x1
refused 2 "--slo: expected ttft_ms<X, tpot_ms<X .*found 'latency<5'" $SERVE 2048x512 --slo 'latency<5'
refused 2 "--slo: expected tpot_ms<MILLISECONDS, found 'tpot_ms<soon'" $SERVE 2048x512 --slo 'tpot_ms<soon'
refused 2 '--slots: 7 is no multiple of dp x mb x rounds = 8' $SERVE 2048x512 --slots 7
refused 2 '--chunk' $SERVE 2048x512 --chunk 0
refused 2 '--chunk and --prefill' $SERVE 2048x512 --chunk 64 --prefill tp=8
refused 2 '--slo belongs to --serve' moeparity predict seed-30b --slo 'tpot_ms<5'
refused 2 'not with --batch, --decode, --kv' $SERVE 2048x512 --decode --kv 5
refused 2 'not with --sweep, --require' $SERVE 2048x512 --trace x.json
refused 2 'cp = 2, expected 1' moeparity predict seed-mini --plan cp=2 --serve 64x64
