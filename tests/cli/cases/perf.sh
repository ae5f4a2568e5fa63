# perf: a fit on excerpts, its scores, and what is refused.
data=$DATA/perf

expect 0 moeparity perf machines
has out '^gpu-400t-64g +400 TFLOPS f16, 64 GB at 1800 GB/s$'
[ "$(wc -l <out)" = 9 ] || fail 'nine machines'

# a machine made from a data sheet, and one with the peak of sparse products
expect 0 moeparity perf check template
has out '^ok +BF16 +989 TFLOPS, count x clock x flop per clock = 989.4$'
has out '^carried moe_fraction +[0-9.]+, one sigma wider by 8 %$'
has out '^0 contradictions$'
sed 's/^  bf16: 989/  bf16: 1979/' "$DATA/../../harness/perf/machine/presets/template.yaml" >sparse.yaml
expect 1 moeparity perf check sparse.yaml
has out '^WRONG +BF16 +1979 TFLOPS, twice .with sparsity'
has out '^1 contradictions$'
expect 0 moeparity perf check $data/stated.yaml
has out 'no arch: peaks are not checked'
refused 2 'perf check: expected a machine, found none' moeparity perf check
refused 2 "perf machines: expected no 'more'" moeparity perf machines more
sed 's/^arch: sm90/arch: hopper/' "$DATA/../../harness/perf/machine/presets/template.yaml" >arch.yaml
refused 3 "arch.yaml:6:7: arch: expected sm80, sm89, sm90, sm100 or sm120, found 'hopper'" moeparity perf check arch.yaml

expect 0 moeparity perf fit --machine template --kind gemm --table $data/gemm.csv \
    --table $data/gemm_long.csv --out mine.yaml
has out '^fitted     [0-9]+ of 84 rows of several tables$'
has out '^  launch_us +[0-9]'
has mine.yaml '^  launch_us: .*from: measured'
has mine.yaml '^  moe_fraction: .*from: transferred'
# what was fitted is carried with half the doubt of a generation, and here with none
(cat "$DATA/../../harness/perf/machine/presets/template.yaml"; echo 'coefficients_from: mine.yaml') >near.yaml
expect 0 moeparity perf check near.yaml
has out '^carried compute_fraction +[0-9.]+, one sigma wider by 2.5 %$'
has out '^carried moe_fraction +[0-9.]+, one sigma wider by 8 %$'
expect 0 moeparity perf check mine.yaml
! grep -q 'carried compute_fraction' out || fail 'a fitted number is called carried'
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
expect 0 moeparity perf score --machine h100-sxm --kind collective --table $data/deepep_ll.csv --only combine
has out '^rows       20$'
refused 2 "only: no row is of operator 'sum'" moeparity perf score --machine h100-sxm --kind collective \
    --table $data/deepep_ll.csv --only sum
expect 0 moeparity perf score --machine a100-sxm --kind plan --table $data/plans.csv --json plan.json
has out '^ranking    tau 0\.[0-9]+, regret '
sed 's/^[0-9]/18.4,&/; s/^#/Parameters (billion),&/' $data/plans.csv >named.csv
expect 0 moeparity perf score --machine a100-sxm --kind plan --table named.csv --json named.json
jq -s -e '.[0].median == .[1].median and .[1].source == "vtrain plans, with parameters"' plan.json named.json >/dev/null ||
    fail 'a table with parameters says something else'
expect 0 moeparity perf tables
has out '^| plan | `Parameters \(billion\),# GPUs,global batch,'
jq -e '.ranking.groups > 5 and .ranking.tau > 0.5' plan.json >/dev/null || fail 'ranking'

refused 2 "perf: expected fit, score, check, machines, tables or fields, found 'guess'" moeparity perf guess
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
