# The words of the last line and their exit codes.
moeparity spec shadow-a --yaml >plain.yaml
sed '/^norm_eps/i scale:\n  embedding: 1e-30\n  residual: 1\n  logits_divisor: 1' plain.yaml >zero.yaml
expect 0 moeparity verify plain.yaml --plan tp=2 --numerics exact
has out '^VERIFIED   bit-identical$'
expect 6 moeparity verify zero.yaml --plan tp=2 --numerics exact --json v.json
has out '^exact      UNPROVEN'
has out '^UNPROVEN   embed: 1920 of 1920 values are zero, so agreement would prove nothing; drawn again 4 times, last with seed 5 \(exact\)$'
! grep -v "^moeparity: about" err || fail "a message beside the verdict"
jq -e '.verdict == "UNPROVEN" and .exit == 6 and .first == null
       and .plans[0].cases[0].verdict == "UNPROVEN"' v.json >/dev/null || fail 'UNPROVEN in JSON'
# what agreement proves nothing about is not excused by --allow-partial
expect 6 moeparity verify zero.yaml --plan tp=2 --numerics exact --allow-partial
