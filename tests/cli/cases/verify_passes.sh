# Passes with other prompts each, between which experts are dealt anew and move: in both scopes, by node, from a plan's own experts; and what it refuses.
expect 0 moeparity verify shadow-a --plan tp=2,dp=2,ep=4,mb=2 --batch 5x11 --passes 3 --slots 7 --json v.json
has out '^  balance    pass 3 of 3: [0-9.]+ %, [0-9.]+ % had experts stayed where they were$'
has out '^  moved      [1-9][0-9]* experts of all ranks behind it, .*; every slot has its expert.s weights$'
has out '^VERIFIED   bit-identical$'
jq -e '[.plans[0].cases[].dealt] | length == 3 and map(.pass) == [0, 1, 2] and all(.wrong == "") and .[0].balance < .[1].balance
       and .[0].moved_bytes > 0 and .[1].moved_bytes > 0 and .[2].moved_bytes == 0' v.json >/dev/null ||
    fail "$(jq -c '[.plans[].cases[].dealt]' v.json)"
jq -e '[.plans[0].cases[].batch_seed] | unique | length == 3' v.json >/dev/null || fail 'prompts that are the same'
expect 0 moeparity verify shadow-a --plan tp=2,pp=2,ep=2,etp=2,scope=replica,mb=2,rounds=2 --batch 5x11 --passes 2 --slots 12 --padding
expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 5x11 --passes 2 --slots 7 --nodes 2 --layers 2
expect 0 moeparity verify shadow-a --plan dp=2,ep=2 --batch 5x11 --passes 2 --layers 2
python3 - >own.yaml <<'P'
print("dp: 2\nep: 2\nphysical:")
for layer in range(2):
    print("  -", [(7 * layer + p) % 20 for p in range(22)])
P
expect 0 moeparity verify shadow-a --plan own.yaml --batch 5x11 --passes 2 --layers 2
has out ' 44 of 44 experts on their owners, '

# Prompts that drift: the first pass asks alike however many ids trade behind it, the second does not; without drift all is as without the word.
load() { jq -c "[.plans[0].cases[$2].routing, .plans[0].cases[$2].dealt]" "$1"; }
for drift in 0 0.1 1; do
    expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 9x11 --layers 2 --passes 2 --slots 7 --drift $drift --set capacity.rule=none --json d$drift.json
    [ $drift = 0 ] || has out "^drift      tokens are asked for like 1, 1/2, 1/3 \.\.; $drift of the 37 trade places after each pass$"
done
[ "$(load d0.1.json 0)" = "$(load d1.json 0)" ] || fail 'drift in the first pass'
[ "$(load d0.1.json 1)" != "$(load d1.json 1)" ] || fail 'no drift behind the first pass'
expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 9x11 --layers 2 --passes 2 --slots 7 --set capacity.rule=none --json none.json
for i in 0 1; do [ "$(load d0.json $i)" = "$(load none.json $i)" ] || fail '--drift 0 is not none'; done
[ "$(load d0.json 0)" != "$(load d1.json 0)" ] || fail 'tokens that are not popular'
# Prompts are data: the same for another plan.
expect 0 moeparity verify shadow-a --plan tp=2,ep=2 --batch 9x11 --layers 2 --passes 2 --slots 14 --drift 0.1 --set capacity.rule=none --json other.json
jq -e --slurpfile a d0.1.json '[.plans[0].cases[].routing] == [$a[0].plans[0].cases[].routing]' other.json >/dev/null || fail 'choices depend on the plan'

# What a move is worth: rows counted, and on a machine the passes after which it pays, the figures of each other and of `rebalance`'s formula.
expect 0 moeparity verify shadow-a --plan tp=2,dp=2,ep=4,mb=2 --batch 5x11 --passes 3 --slots 7 --drift 1 --machine h100-sxm --json p.json
has out "^  saved      -?[0-9]+ of [0-9]+ rows of the layers' fullest ep indices, by [0-9.]+ MiB that moved before\$"
[ "$(grep -c '^  pays       after [0-9.e+inf]* passes like this one on h100-sxm in f16: [0-9.e-]* ms to move, products ' out)" = 2 ] || fail 'two passes that a move precedes'
jq -e '[.plans[0].cases[].dealt] | .[0].moved_bytes_before == 0 and all(.[1:][]; (.balance * .fullest_rows / (.balance_kept * .fullest_rows_kept) - 1 | fabs) < 1e-9)
       and .[1].moved_bytes_before == .[0].moved_bytes and .[2].moved_bytes_before == .[1].moved_bytes
       and all(.[1:][].priced; . as $p | $p.pays_after_passes | if . == "inf" then $p.kept_seconds <= $p.dealt_seconds
                               else (. * ($p.kept_seconds - $p.dealt_seconds) / $p.move_seconds - 1 | fabs) < 1e-6 end)' p.json >/dev/null ||
    fail "$(jq -c '[.plans[].cases[].dealt]' p.json)"
expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 5x11 --layers 2 --passes 2 --slots 7 --json q.json
jq -e '[.plans[0].cases[].dealt.priced] == [null, null]' q.json >/dev/null || fail 'prices without a machine'
# What moves is in the trace between two passes: a record for each rank and layer.
expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 5x11 --layers 2 --passes 3 --slots 7 --trace moves.trace
jq -e '[.traceEvents[] | select(.name == "between passes")] | length == 8' moves.trace >/dev/null || fail 'moves of 4 ranks, twice'
jq -e '[.traceEvents[] | select(.args.tick == -1)] | length == 16 and all(.[]; .cat == "collective" and .args.axis == "ep" and .args.group == 4) and any(.[]; .args.sent > 0)' moves.trace >/dev/null ||
    fail "$(jq -c '[.traceEvents[] | select(.args.tick == -1)][0]' moves.trace)"

passes=(moeparity verify shadow-a --batch 5x11 --layers 2 --passes)
refused 2 "passes: expected at most 8, found '9'" "${passes[@]}" 9 --plan dp=2,ep=2
refused 2 'passes: they are compared in exact numerics, found --numerics fp32' "${passes[@]}" 2 --plan dp=2,ep=2 --numerics fp32
refused 2 'passes: expected without --decode, --grad, --checkpoint and --forced' "${passes[@]}" 2 --plan dp=2,ep=2 --forced
refused 2 'passes: experts are dealt in each layer, .*found placement' "${passes[@]}" 2 --plan dp=2,ep=2,placement=0/0/0/0/0/0/0/0/0/0/1/1/1/1/1/1/1/1/1/1
refused 2 'slots: the plan has 22 physical experts in each layer' "${passes[@]}" 2 --plan own.yaml --slots 11
refused 2 '21 physical experts on a GPU, expected at most 20' "${passes[@]}" 2 --plan dp=2,ep=2 --slots 21
refused 2 '2 GPUs x 9 physical experts = 18, expected 20 to' "${passes[@]}" 2 --plan dp=2,ep=2 --slots 9
refused 2 'GPUs % nodes = 2 % 3 = 2, expected 0' "${passes[@]}" 2 --plan dp=2,ep=2 --nodes 3
refused 2 'slots: it is of --passes' moeparity verify shadow-a --plan dp=2,ep=2 --slots 11
refused 2 'drift: it is of --passes' moeparity verify shadow-a --plan dp=2,ep=2 --drift 0.1
refused 2 "drift: expected a share from 0 to 1, found '1.5'" "${passes[@]}" 2 --plan dp=2,ep=2 --drift 1.5
refused 2 'machine: it is of --passes' moeparity verify shadow-a --plan dp=2,ep=2 --machine h100-sxm
refused 2 'machine: expected an ep index to be one GPU, found 2 ranks of each' "${passes[@]}" 2 --plan dp=2,ep=1,etp=2 --slots 20 --machine h100-sxm
refused 3 'no-such' "${passes[@]}" 2 --plan dp=2,ep=2 --machine no-such
refused 2 'nodes: it is of --passes' moeparity verify shadow-a --plan dp=2,ep=2 --nodes 2
