# moeparity predict: the report, its files, the gate, sweeps, refusals.

SEED="moeparity predict seed-30b --plan seed-32 --machine gpu-400t-64g --batch 256x256"

expect 0 $SEED --json p.json --trace t.json
has out '^plan       tp=4,pp=4,dp=2,ep=16,scope=replica,mb=8 on 32 GPUs$'
has out '^  latency_ms +[0-9.]+ ms +[0-9.]+ - [0-9.]+ +one pass'
has out "^WARNING    links 'network' are assumed"
has out '^  expert grouped gemm '
[ ! -s err ] || fail "something on stderr"
jq -e '.schema == 1 and .gpus == 32 and (.memory | length) == 4 and
    (.figures.latency_ms | .low < .value and .value < .high) and
    ([.operators[] | select(.collective == "all-to-all")] | length) == 1' p.json >jq.out || fail "p.json"

# one named track per GPU, events in order that do not overlap, within the latency
jq -e '[.traceEvents[] | select(.ph == "M" and .name == "thread_name")] | length == 32' t.json >jq.out || fail "tracks"
jq -e '[.traceEvents[] | select(.ph == "X")] | map(.tid) | unique == [range(32)]' t.json >jq.out || fail "a track is empty"
latency=$(jq '.figures.latency_ms.value * 1000' p.json)
jq -e --argjson last "$latency" '[.traceEvents[] | select(.ph == "X")] | all(.ts >= 0 and .dur >= 0 and .ts + .dur <= $last + 0.01)' t.json >jq.out || fail "an event beyond the end"
jq -e '[.traceEvents[] | select(.ph == "X" and .tid == 13 and (.name | test("send") | not))] | [., .[1:]] | transpose | map(select(.[1])) | all(.[0].ts + .[0].dur <= .[1].ts + 0.01)' t.json >jq.out || fail "events overlap"

# the same twice; another draw is another figure
expect 0 $SEED
cp out first
expect 0 $SEED
cmp -s out first || fail "two runs differ"
expect 0 $SEED --routing drawn:2
cmp -s out first && fail "another seed changes nothing"

# what the intervals hold
expect 0 $SEED --draws 3 --json p.json
has out '^interval   one sigma of the latency: operators [0-9.]+ %, assumed links [0-9.]+ %, routing [0-9.]+ % .3 other draws.$'
jq -e '.interval | .draws == 3 and .links > 0 and .routing > 0 and .operators > 0' p.json >jq.out || fail "interval"
has out "^widest +[0-9.]+ % +[a-z' ]+ +(perf fit --kind [a-z]+ on|measure them)"
[ "$(grep -A2 '^widest' out | grep -c ' % ')" = 3 ] || fail "three causes"
jq -e '.interval.terms | length == 7 and . == (sort_by(-.sigma)) and
    all(.remedy != "") and any(.name == "the draw of the routing")' p.json >jq.out || fail "terms"
jq -e '.interval | ([.terms[].sigma | . * .] | add | sqrt) as $all |
    (.operators * .operators + .links * .links + .routing * .routing | sqrt) as $sum |
    ($all - $sum) / $sum | fabs < 1e-9' p.json >jq.out || fail "terms add up"
expect 0 $SEED --draws 0 --json none.json
has out ', routing not in it$'
jq -e --slurpfile a none.json '.figures.latency_ms.value == $a[0].figures.latency_ms.value and
    .figures.latency_ms.high > $a[0].figures.latency_ms.high' p.json >jq.out || fail "draws move the value"
rm none.json
expect 0 $SEED --routing expected
has out ', routing not in it$'
refused 2 'draws: expected draws nothing' $SEED --routing expected --draws 3
refused 2 'draws: expected 0 to 64' $SEED --draws 65
refused 2 'cp = 2, expected 1: a step of decode has one token of each row' moeparity predict seed-mini --plan cp=2,tp=2 --decode --batch 8 --kv 64
expect 0 moeparity predict seed-mini --plan tp=2,dp=2,sp=1 --batch 8x64

# rows that are shared: what their ranks exchange has a line of its own
for kind in gather ring ulysses; do
    expect 0 moeparity predict seed-mini --plan tp=2,cp=2,cp_kind=$kind,ep=4 --batch 8x4096 --json cp.json
    jq -e '[.operators[] | select(.axis == "cp")] | length > 0 and all(.seconds > 0)' cp.json >jq.out ||
        fail "no transfers over cp with $kind"
done

# the gate
cat >easy.yaml <<END
memory_gb: "< 64"
tokens_per_s: "> 20000"
balance: "> 80%"
END
expect 0 $SEED --require easy.yaml
has out '^MET        memory_gb < 64: '
has out '^MET        balance > 80%: [0-9.]+ % '
expect 1 $SEED --require "$DATA/../../docs/claims/seed-requirements.yaml"
has out '^NOT MET    latency_ms < 50: [0-9.]+ \([0-9.]+ - [0-9.]+\)'
has out '^UNDEFINED  utilisation > 90%: say busy, mfu or bandwidth; busy '
[ ! -s err ] || fail "a gate that fails is no error"
echo 'latency_ms: 50' >bad.yaml
refused 3 'bad.yaml:1:[0-9]+: latency_ms: expected "< NUMBER"' $SEED --require bad.yaml
echo 'latency: "< 50"' >bad.yaml
refused 3 'bad.yaml:1:[0-9]+: latency: expected the name of a figure' $SEED --require bad.yaml
refused 3 'none.yaml: No such file or directory, while reading requirements' $SEED --require none.yaml --json none.json
[ ! -e none.json ] || fail "a refusal left a file"

# sweeps
expect 0 $SEED --sweep gpus=16..64
[ "$(wc -l <out)" = 4 ] || fail "expected a head and three rows"
has out '^ +64 +64 '
expect 0 $SEED --sweep mb=1..6
[ "$(wc -l <out)" = 5 ] || fail "expected 1, 2, 4 and 6"
expect 0 moeparity predict --batch 32x1 --sweep seq=128..300
has out '^ +300 +32 '
expect 0 $SEED --sweep gpus=8..16
has out '^ +8  no plan: 8 GPUs are no multiple of pp x tp = 16'
refused 2 'sweep gpus=8..8: no legal plan$' $SEED --sweep gpus=8..8
sed 's/^  f16: .*//' "$DATA/../../harness/perf/machine/presets/template.yaml" >half.yaml
refused 2 'no units for F16' moeparity predict --machine half.yaml --sweep mb=1..2
expect 0 moeparity predict --machine half.yaml --sweep mb=1..2 --dtype fp32
refused 2 'sweep: expected gpus=A..B' $SEED --sweep 16..32
refused 2 'sweep: expected N or N..N2, rising, at most 1048576' $SEED --sweep gpus=32..16
expect 0 $SEED --sweep gpus=32
refused 2 'sweep prints a table' $SEED --sweep gpus=16..32 --json x.json

# decoding
expect 0 moeparity predict --decode --kv 1024 --batch 256
has out '^batch      decode: 256 rows, 1024 keys each$'
refused 2 'decode and --kv L go together' moeparity predict --decode

# popularity from a file
seq 64 >popular
expect 0 $SEED --popularity popular
has out '^routing    popular, drawn$'
seq 63 >popular
refused 3 'popular: expected one number for each of 64 experts, found 63' $SEED --popularity popular
expect 0 $SEED --popularity zipf:1 --routing expected
refused 2 'zipf:x: expected an exponent' $SEED --popularity zipf:x
refused 2 'routing: expected drawn' $SEED --routing guessed
refused 2 'overlap: expected none, pipeline or all' $SEED --overlap some
refused 2 'dtype: expected f16, bf16, f32, f64, fp8' $SEED --dtype fp9
refused 2 "'fp9' of 'kv=fp9'" $SEED --dtype w=fp8+kv=fp9
expect 0 moeparity predict seed-mini --plan tp=2 --machine h100-sxm --batch 8x64 --dtype w=mxfp4+act=bf16+kv=fp8 --json p.json
jq -e '.dtype == "w=mxfp4+act=BF16+kv=fp8"' p.json >jq.out || fail "types"
refused 2 '.*' moeparity predict --plan tp=3

# a step of training
TRAIN="moeparity predict seed-mini --train --machine h100-sxm --plan pp=2,dp=2,ep=2,mb=4 --batch 16x32"
expect 0 $TRAIN --zero 1 --recompute full --json step.json
has out '^training   16 rows x 32 tokens in 4 micro-batches; zero 1, recompute full, gradients F32, 12 bytes of states$'
has out '^  step_ms +[0-9.]+ ms +[0-9.]+ - [0-9.]+ +one step$'
jq -e '.schema == 1 and .zero == 1 and .recompute == "full" and (.memory | length) == 2 and
    ((.seconds | add) / .step_s.value - 1 | fabs) < 1e-6' step.json >jq.out || fail "step.json"
expect 0 $TRAIN
has out 'zero 0, recompute none, gradients F32'
refused 2 '--zero: expected 0, 1, 2 or 3, found .4.' $TRAIN --zero 4
refused 2 '--recompute: expected none, selective or full, found .some.' $TRAIN --recompute some
refused 2 '--gradients: expected f32, bf16 or f16, found .f64.' $TRAIN --gradients f64
refused 2 '--zero belongs to --train' moeparity predict --zero 1
refused 2 '--train: not with --sweep, --require, --trace' $TRAIN --trace t.json
refused 2 '--train: .*not with --overlap, --draws' $TRAIN --overlap all
refused 2 '--train: expected one plain type, found --dtype w=mxfp4' $TRAIN --dtype w=mxfp4+act=bf16
refused 2 '--train: batch_reduce = 2, expected 1' moeparity predict seed-mini --train --machine h100-sxm --plan mb=4,batch_reduce=2 --batch 16x32
refused 2 '--train: a step has whole rows' moeparity predict --train --decode --kv 1024 --batch 256

# exchanges that go on, on tracks of their own
OVER="moeparity predict seed-mini --machine h100-sxm --plan dp=2,ep=2,mb=4,overlap=dispatch --batch 16x32"
expect 0 $OVER --trace t.json
has out '^overlap    as planned$'
jq -e '[.traceEvents[] | select(.ph == "M" and .name == "thread_name") | .args.name] | index("GPU 1, under way") != null' t.json >jq.out || fail "no second track"
jq -e '[.traceEvents[] | select(.ph == "X" and .tid >= 2)] | length > 0 and all(.name == "dispatch all-to-all")' t.json >jq.out || fail "what goes on"
expect 0 $OVER --overlap pipeline
has out '^overlap    pipeline$'
