# perf: a fit on excerpts, its scores, and what is refused.
data=$DATA/perf

expect 0 moeparity perf machines
has out '^gpu-400t-64g +400 TFLOPS f16, 64 GB at 1800 GB/s$'
[ "$(wc -l <out)" = 3 ] || fail 'three machines'

expect 0 moeparity perf fit --machine template --kind gemm --table $data/gemm.csv \
    --table $data/gemm_long.csv --out mine.yaml
has out '^fitted     [0-9]+ of 84 rows of several tables$'
has out '^  launch_us +[0-9]'
has mine.yaml '^  launch_us: .*from: measured'
has mine.yaml '^  moe_fraction: .*from: transferred'
cp mine.yaml before.yaml
expect 0 moeparity perf fit --machine mine.yaml --kind gemm --table $data/gemm.csv \
    --table $data/gemm_long.csv --out mine.yaml
cmp mine.yaml before.yaml || fail 'the same fit twice'

expect 0 moeparity perf score --machine mine.yaml --kind gemm --table $data/gemm.csv \
    --held-out --json score.json
has out '^median     [0-9.]+ %$'
has out '^coverage   [0-9.]+ % of rows in the 90 % interval$'
[ "$(jq -r '.machine, .kind, .held_out' score.json | tr '\n' ' ')" = 'template gemm true ' ] ||
    fail 'json'
jq -e '.n + 0 < 60 and .median > 0 and .p90 >= .median and .coverage <= 1' score.json >/dev/null ||
    fail 'figures of the json'
expect 0 moeparity perf score --machine a100-sxm --kind plan --table $data/plans.csv --json plan.json
has out '^ranking    tau 0\.[0-9]+, regret '
jq -e '.ranking.groups > 5 and .ranking.tau > 0.5' plan.json >/dev/null || fail 'ranking'

refused 2 "perf: expected fit, score or machines, found 'guess'" moeparity perf guess
refused 2 '--machine: missing' moeparity perf score --kind gemm --table $data/gemm.csv
refused 2 '--kind: missing' moeparity perf score --machine a100-sxm --table $data/gemm.csv
refused 2 '--table: missing' moeparity perf score --machine a100-sxm --kind gemm
refused 2 '--out: missing' moeparity perf fit --machine a100-sxm --kind gemm --table $data/gemm.csv
refused 2 "--kind: expected gemm, .*found 'norm'" moeparity perf score --machine a100-sxm \
    --kind norm --table $data/gemm.csv
refused 3 'none.yaml: .*gpu-400t-64g' moeparity perf score --machine none.yaml --kind gemm \
    --table $data/gemm.csv
refused 3 'none.csv: ' moeparity perf score --machine a100-sxm --kind gemm --table none.csv
refused 3 'columns of a table of kind gemm, expected moe' moeparity perf score \
    --machine a100-sxm --kind moe --table $data/gemm.csv
sed '5s/,[^,]*$/,0/' $data/gemm.csv >bad.csv
rm mine.yaml
refused 3 'bad.csv:5:4: latency: expected a number' moeparity perf fit --machine a100-sxm \
    --kind gemm --table bad.csv --out mine.yaml
[ ! -e mine.yaml ] || fail 'a refused fit left a file'
