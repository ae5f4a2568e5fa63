# fp64: what both sides sum in double agrees within its bounds, on every model.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    expect 0 moeparity verify "$folder" --plan dp=2,ep=2,pp=2 \
        --plan "$(first_legal "$folder" tp=2,ep=2 tp=3,ep=3 dp=3,ep=3)" --numerics fp64
    has out '^fp64       (PASS|MARGINAL)$'
    has out '^VERIFIED   fp64 within bounds'
    n=$((n + 1))
done
[ $n -ge 97 ] || fail "only $n models"
# beside the others, and in a report for machines
expect 0 moeparity verify shadow-b --numerics exact,fp64,fp32,bf16 --plan tp=2,etp=2 --batch 3x13 --json report.json
has out '^VERIFIED   bit-identical, and fp64 and fp32 and bf16 within bounds'
jq -e '[.plans[].cases[].numerics] == ["exact", "fp64", "fp32", "bf16"]
       and (.plans[0].cases[1].passes | map(.mode)) == ["forced", "forced-routing"]
       and .plans[0].cases[1].passes[0].worst.worst_score > 0' \
    report.json >/dev/null || fail "report.json: $(jq -c . report.json)"
