# The words of the last line and their exit codes.
moeparity spec shadow-a --yaml >plain.yaml
sed 's/^norm_eps: .*/norm_eps: 1e20/' plain.yaml >zero.yaml
expect 0 moeparity verify plain.yaml --plan tp=2 --numerics exact
has out '^VERIFIED   bit-identical$'
expect 6 moeparity verify zero.yaml --plan tp=2 --numerics exact --json v.json
has out '^exact      UNPROVEN'
has out '^UNPROVEN   layers\.0\.attn\.norm: 1920 of 1920 values are zero, so agreement would prove nothing; drawn again 4 times, last with seed 5 \(exact\)$'
! grep -v "^moeparity: about" err || fail "a message beside the verdict"
jq -e '.verdict == "UNPROVEN" and .exit == 6 and .first == null
       and .plans[0].cases[0].verdict == "UNPROVEN"' v.json >/dev/null || fail 'UNPROVEN in JSON'
# what agreement proves nothing about is not excused by --allow-partial
expect 6 moeparity verify zero.yaml --plan tp=2 --numerics exact --allow-partial
