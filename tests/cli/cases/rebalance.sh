# Experts dealt anew while popularity drifts: the report, both maps, and what is refused, each beside what is not.
expect 0 moeparity rebalance seed-mini --gpus 8 --slots 10 --tokens 4096 --passes 3 --drift 0 --maps maps.yaml
has out '^model      seed-mini: 16 layers of 64 experts$'
has out '^experts    10 physical on each of 8 GPUs, 16 redundant in a layer; dealt over all GPUs$'
has out '^ +2 +[0-9.]+ +[0-9.]+ +9[0-9.]+ '
has out '^balance    [0-9.]+ % with experts in order, 9[0-9.]+ % dealt, mean of the 2 passes behind the first dealing$'
[ "$(grep -c '^layer_' maps.yaml)" = 16 ] || fail 'layers of the maps'
python3 - <<'P' || fail 'the maps do not fit each other'
import re
for part in open("maps.yaml").read().split("layer_")[1:]:
    there, back = part.split("physical_of_logical:")
    logical = [int(x) for x in re.findall(r"\d+", there.split("[")[1])]
    of = [[int(x) for x in re.findall(r"\d+", line)] for line in back.splitlines() if "[" in line]
    assert len(logical) == 80 and len(of) == 64
    assert sorted(p for e in of for p in e) == list(range(80))
    assert all(logical[p] == e for e, many in enumerate(of) for p in many)
P
cp out first
expect 0 moeparity rebalance seed-mini --gpus 8 --slots 10 --tokens 4096 --passes 3 --drift 0
cmp -s out first || fail 'two runs differ'
expect 0 moeparity rebalance seed-mini --gpus 8 --slots 10 --tokens 4096 --passes 3 --drift 0 --seed 2
cmp -s out first && fail 'another seed changes nothing'
expect 0 moeparity rebalance seed-mini --gpus 8 --slots 10 --nodes 2 --groups 4 --tokens 4096 --passes 2
has out 'dealt by node, then by GPU$'

refused() { expect "$1" moeparity rebalance "${@:3}"; has err "$2"; [ "$(wc -l <err)" = 1 ] || fail "$(cat err)"; }
refused 2 '16 GPUs x 3 physical experts = 48, expected 64 to 4096' seed-mini --slots 3
refused 2 'GPUs % nodes = 16 % 3 = 1, expected 0' seed-mini --nodes 3
refused 2 "drift: expected a share from 0 to 1, found '2'" seed-mini --drift 2
refused 2 "passes: .*'0'" seed-mini --passes 0
printf 'dp: 2\nep: 2\nplacement:\n  0: [0, 1]\n' >layers.yaml
expect 3 moeparity predict seed-mini --plan layers.yaml --batch 8x64
has err 'layers.yaml:.*placement: expected one list, for all layers'
printf 'dp: 2\nep: 2\nplacement: [%s]\n' "$(seq -s , 64 | sed 's/[0-9][0-9]*/0/g')" >all.yaml
expect 0 moeparity predict seed-mini --plan all.yaml --batch 8x64
