# bf16: verified beside the others; a run writes values of 16 bits.
expect 0 moeparity verify shadow-a --numerics exact,fp32,bf16 --plan tp=2,dp=2,mb=2 \
    --layers 3 --json report.json
has out '^bf16       (PASS|MARGINAL)$'
has out '^  precision  worst rms error 0\.[0-9]+ of what bf16 explains'
has out '^VERIFIED   bit-identical, and fp32 and bf16 within bounds'
# in bf16 a unit of storage is most of a bound: what is counted is what is over half of it and more than that
has out '^  bounds     worst error 0.[5-9][0-9]* of its bound, .*; 0 elements over half and by more than storing makes$'
jq -e '.verdict == "VERIFIED"
       and [.plans[].cases[].numerics] == ["exact", "fp32", "bf16"]
       and all(.plans[].cases[1:][].passes[0].worst.rms_ratio; 0 < . and . < 1)' \
    report.json >/dev/null || fail "report.json: $(jq -c . report.json)"
expect 0 moeparity verify shadow-a --numerics bf16 --layers 1 --plan tp=2
has out '^VERIFIED   bf16 within bounds'
expect 0 moeparity verify shadow-a --numerics fp16 --layers 2 --plan tp=2,ep=2
has out '^VERIFIED   fp16 within bounds'
refused 2 "numerics: expected .*found 'fp8'" moeparity verify --numerics bf16,fp8
refused 2 "--numerics: expected a list of at most 8.*found 'bf16,exact,bf16'" \
    moeparity verify --numerics bf16,exact,bf16

# a value of bf16 ends in 16 zero bits as a float
folder=$ORACLE/mixtral/tiny
input=$folder/expected.safetensors
for plan in '' '--plan tp=2,ep=2'; do
    # shellcheck disable=SC2086
    expect 0 moeparity run -m "$folder" -i "$input" -o bf16.st --numerics bf16 $plan
    header bf16.st | jq -e '.["p0.logits"].dtype == "F32"
        and .__metadata__.numerics == "bf16"' >/dev/null || fail "header: $(header bf16.st)"
    at=$(header bf16.st | jq '.["p0.logits"].data_offsets[0]')
    size=$(header bf16.st | jq '.["p0.logits"].data_offsets | .[1] - .[0]')
    at=$((8 + $(od -An -t u8 -N 8 bf16.st) + at))
    od -An -v -t x4 -w4 -j "$at" -N "$size" bf16.st >words
    [ "$(grep -c '0000$' words)" = $((size / 4)) ] || fail "$plan: more bits than bf16 has"
    [ "$(sort -u words | wc -l)" -gt 20 ] || fail "$plan: only $(sort -u words | wc -l) values"
    expect 0 moeparity compare bf16.st bf16.st
done
