# A layer's own physical experts: both maps of each, runs that are bit-identical, what they cost, and what wants one list of experts for all layers.
python3 - >maps.yaml <<'P'
print("dp: 2\nep: 2\nphysical:")
for layer in range(7):
    print("  -", [(7 * layer + p) % 20 for p in range(24)])
P
expect 0 moeparity plan maps.yaml --model shadow-a
has out '^experts    24 physical in each layer, 12 on each of 2 ep indices$'
has out '^  layer 1, logical of physical: 7 8 9 10 11 12 13 14 15 16 17 18 \| 19 0 1 '
has out '^  layer 1, physical of logical: 13 14 15 16 17 18 19 0\+20 1\+21 2\+22 3\+23 4 '
has out ' physical 12-23$'
expect 0 moeparity plan maps.yaml --model shadow-a --json map.json
jq -e '.physical[1].layer == 1 and .physical[1].logical_of_physical[:2] == [7, 8] and .ranks[1].physical == [12, 24]' map.json >/dev/null ||
    fail "$(jq -c '.physical, .ranks[1]' map.json)"

expect 0 moeparity verify shadow-a --plan maps.yaml,tp=2,etp=2,mb=2 --batch 5x11
has out '^VERIFIED   bit-identical, and fp32 within bounds$'
has out ' 336 of 336 experts on their owners, '
expect 0 moeparity verify shadow-a --plan maps.yaml,dp=2,mb=2 --batch 5x11 --decode 6 --numerics exact
expect 0 moeparity predict shadow-a --plan maps.yaml --batch 4x64

expect 0 moeparity verify shadow-a --plan maps.yaml --batch 5x11 --numerics exact --events e --json report.json
expect 0 moeparity top e
has out '^plan      dp=2,ep=2$'
jq -se --slurpfile r report.json '([.[] | select(.pass == "free pass") | .expert_rows[]] | add) == $r[0].plans[0].cases[0].emulation.sent
       and ([.[] | .experts // empty | length] | unique) == [20]' e >/dev/null || fail 'rows of all experts'

refused 2 'grad: no gradient is known for all degrees of dp=2,ep=2,physical=' moeparity verify shadow-a --plan maps.yaml --batch 5x11 --numerics exact --grad
refused 2 'physical: no flag places single experts' moeparity plan maps.yaml --model shadow-a --emit vllm
refused 2 'expected a plan without stages, placement, ' moeparity search shadow-a --machine gpu-400t-64g --gpus 2 --batch 4x64 --mark maps.yaml
