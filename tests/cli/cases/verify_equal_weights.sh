# Experts that are equal bit for bit on different ranks: UNPROVEN, and they are
# named.  (Layers, heads, columns: tests/unit/test_har_distinct.c.)
moeparity spec shadow-a --yaml | sed 's/^layers: .*/layers: 2/; s/^experts: .*/experts: 4/; s/^twin_expert: .*/twin_expert: -1/' >small.yaml
expect 0 moeparity golden make --model small.yaml --tokens 1x4 --numerics exact --export-weights --out whole
fresh() { rm -rf model && mkdir model && cp whole/config.json whole/model.safetensors model; }
copy() { foreign copy model/model.safetensors "model\.layers\.(\d+)\.mlp\.experts\.$1\.(.*)" "model.layers.\1.mlp.experts.$2.\2"; }
verify() { expect "$1" moeparity verify model --batch 4x11 --plan "$2" --json v.json "${@:3}"; }
fresh
verify 0 dp=2,ep=2
has out '^VERIFIED   bit-identical, and fp32 within bounds$'
! grep -q '^  equal' out || fail 'equal weights in a proven run'
jq -e '.plans[0].cases[0].equal_weights == []' v.json >jq.out || fail 'equal weights in JSON'

# A dense MLP in every expert.
copy '\d+' 0
verify 6 dp=2,ep=2
has out '^exact      UNPROVEN'
has out '^fp32       UNPROVEN'
has out '^  equal      experts 0 and 2 of layer 0 are equal bit for bit, and 7 more pairs \(ep\)$'
has out '^UNPROVEN   experts 0 and 2 of layer 0 are equal bit for bit, and 7 more pairs, so agreement would prove nothing about ep \(exact\)$'
jq -e '.verdict == "UNPROVEN" and .exit == 6 and (.reason | startswith("experts 0 and 2"))
       and .plans[0].cases[0].equal_weights == [{"what": "experts", "degree": "ep",
       "pairs": 8, "layer": 0, "first": [0, 0], "second": [2, 2]}]' v.json >jq.out || fail 'experts in JSON'
verify 0 dp=2,tp=2 # every rank has all of them

# Two pairs, on two ranks and on one; then so near that only the grid of exact
# mode makes them equal.
fresh
copy 2 0
copy 3 1
verify 6 dp=2,ep=2 --numerics exact
has out '^UNPROVEN   experts 0 and 2 of layer 0 are equal bit for bit, and 3 more pairs'
verify 0 dp=2,ep=2,placement=0/1/0/1 --numerics exact
for l in 0 1; do
    for e in 2 3; do
        foreign edit model/model.safetensors model.layers.$l.mlp.experts.$e.up_proj.weight 'x *= 1 + 2.0 ** -20'
    done
done
verify 6 dp=2,ep=2
has out '^exact      UNPROVEN'
has out '^fp32       PASS'
