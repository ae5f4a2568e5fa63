# fp64, where both sides sum in double, beside other numerics, and in a report for machines; on every model: oracle_verify.sh.
expect 0 moeparity verify shadow-b --numerics exact,fp64,fp32,bf16 --plan tp=2,etp=2 --batch 3x13 --json report.json
has out '^VERIFIED   bit-identical, and fp64 and fp32 and bf16 within bounds'
jq -e '[.plans[].cases[].numerics] == ["exact", "fp64", "fp32", "bf16"]
       and (.plans[0].cases[1].passes | map(.mode)) == ["forced", "forced-routing"]
       and .plans[0].cases[1].passes[0].worst.worst_score > 0' \
    report.json >/dev/null || fail "report.json: $(jq -c . report.json)"
