# Dumps of choices alone, in the forms that tools return: stacked over layers,
# without the last token, -1 where nothing was captured, masks, physical ids.
# Layers 0 and 1 of this model are dense.
model=$ORACLE/deepseek_v3/yarn_bf16
expect 0 moeparity golden make -m "$model" --tokens 3x5 --seed 2 --numerics fp32 -o gold
cat >make.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

taps, _ = f.load("gold/fp32.safetensors")
layers = sorted(int(k.split(".")[2]) for k in taps if k.endswith("topk_idx"))
ids = {l: taps[f"p0.layers.{l}.topk_idx"] for l in layers}
n_e = taps[f"p0.layers.{layers[0]}.router_logits"].shape[1]
n_k = ids[layers[0]].shape[1]
n_l = 1 + max(int(k.split(".")[2]) for k in taps if k.startswith("p0.layers."))
assert layers[0] > 0 and len(layers) > 1
stack = np.stack([ids[l] for l in layers], axis=1).reshape(3, 5, len(layers), n_k)
put = lambda name, x, meta=None, **more: f.save(name + ".st", {"routed_experts": x, **more}, meta)

f.save("logits.st", {"p0.logits": taps["p0.logits"]})
put("whole", stack.astype(np.int32))
put("flat", stack.reshape(15, len(layers), n_k).astype(np.uint8))
put("short", stack[:, :-1].astype(np.int16))
put("short_flat", stack[:, :-1].reshape(12, len(layers), n_k)[:, :, ::-1].astype(np.int8))
put("row", stack[1, :-1].astype(np.int16), {"slice": "b=1:2"})
put("only", stack[1, :-1].astype(np.int16))
put("slice", stack.reshape(15, len(layers), n_k)[5:10].astype(np.int16), {"slice:routed_experts": "5:10,:,:", "rows": "1:2"})
put("said", stack[1, :-1].astype(np.int16), {"rows": "1:2"})
full = np.zeros((15, n_l, n_k), np.int64)  # dense layers have a place, too
full[:, layers] = stack.reshape(15, len(layers), n_k)
put("all_layers", full)
silent = stack.astype(np.int16)
silent[0, :2] = -1
put("silent", silent)
put("nothing", np.full_like(silent, -1))
put("two_layers_off", np.concatenate([stack, stack, stack, stack], axis=2))

wrong = stack.copy()
free = next(e for e in range(n_e) if e not in wrong[2, 3, 1])
wrong[2, 3, 1, 0] = free
put("wrong", wrong)
beyond = stack.copy()
beyond[2, 3, 1, 0] = n_e
put("beyond", beyond)
half = stack.copy()
half[2, 3, 1, 0] = -1
put("half", half)

mask = np.zeros((15, len(layers), n_e), np.bool_)
np.put_along_axis(mask, stack.reshape(15, len(layers), n_k), True, axis=2)
put("mask", mask)
put("mask_int", mask.astype(np.int32).reshape(3, 5, len(layers), n_e))
f.save("masks.st", {f"map.{l}": mask[:, j] for j, l in enumerate(layers)})
fewer = mask.copy()
fewer[13, 1, stack[2, 3, 1, 0]] = False
put("fewer", fewer)
other = fewer.copy()
other[13, 1, free] = True
put("mask_wrong", other)

# physical experts: two copies of each in another order per layer, and a hole
rng = np.random.default_rng(3)
lists = np.stack([np.append(rng.permutation(np.repeat(np.arange(n_e), 2)), -1) for _ in layers])
physical = np.empty_like(stack)
for j in range(len(layers)):
    for where in np.ndindex(3, 5, n_k):
        b, t, k = where
        physical[b, t, j, k] = rng.choice(np.flatnonzero(lists[j] == stack[b, t, j, k]))
put("physical", physical, {"logical:routed_experts": "p2l"}, p2l=lists.astype(np.int32))
put("by_map", physical, p2l=lists)
put("unsaid", physical)
far = physical.copy()
far[2, 3, 1, 0] = lists.shape[1]
put("far", far, p2l=lists)
hole = physical.copy()
hole[2, 3, 1, 0] = 2 * n_e
put("hole", hole, p2l=lists)
put("other_lists", physical, p2l=lists[::-1].copy())
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py

for dump in whole flat all_layers mask mask_int physical; do
    expect 0 moeparity compare gold $dump.st --map replay
    has out '^routing    30 of 30 choices of experts agree; '
    has out '^PASS       2 taps'
done
for dump in short short_flat; do
    expect 0 moeparity compare gold $dump.st --map replay --json out.json
    has out '^routing    24 of 24 choices of experts agree; '
    has out '^routing    6 choices were not recorded or cannot be read: not judged$'
    jq -e '.silent_rows == 6' out.json >/dev/null || fail 'silent_rows'
done
expect 0 moeparity compare gold silent.st --map replay
has out '^routing    26 of 26 choices'
has out '^routing    4 choices were not recorded'
expect 1 moeparity compare gold nothing.st --map replay
has out "^  FAIL  p0.layers.2.topk_idx: no token's choices can be read$"
expect 1 moeparity compare gold row.st --map replay
has out '^  missing    p0.layers.2.topk_idx: expected 15 rows, 10 of them are not whole; the first is row 0, position 0'
expect 0 moeparity compare gold row.st --map replay --rows 1:2 # the others are not expected
has out '^routing    8 of 8 choices'
expect 0 moeparity compare gold only.st --map replay --rows 1:2 # nor is the slice needed
has out '^routing    8 of 8 choices'
expect 0 moeparity compare gold said.st --map replay
has out '^routing    8 of 8 choices'
expect 0 moeparity compare gold slice.st --map replay
has out '^routing    10 of 10 choices'
expect 1 moeparity compare gold only.st --map replay --rows 0:1
has out '^FAIL       first at p0.layers.2.topk_idx, '
refused 3 'only.st: expected rows within 0:3, found 2:4$' moeparity compare gold only.st --map replay --rows 2:4
refused 2 "\-\-rows: expected a range such as 7:9, found '1'$" moeparity compare gold only.st --map replay --rows 1
expect 1 moeparity compare gold two_layers_off.st --map replay
has out '^  misshapen  two_layers_off.st, routed_experts: expected choices of 2 layers with experts \(or of all\), found 8$'

# a stack that a map names must be there, unless it says that it may be missing
printf 'names: {routed_experts: layers.*.topk_idx, logits: logits}\n' >both.yaml
expect 1 moeparity compare gold logits.st --map both.yaml
has out '^  missing    p0.layers.3.topk_idx: expected in the dump, found nothing$'
sed -i 's/topk_idx/topk_idx?/' both.yaml
expect 0 moeparity compare gold logits.st --map both.yaml

# rows in a file each; the same row twice, in another order of its experts
mkdir ranks
cp whole.st ranks/rank_00000.safetensors
cp short_flat.st ranks/rank_00001.safetensors
expect 0 moeparity compare gold ranks --map replay
has out '^routing    30 of 30 choices'

# another expert is wrong; one that does not exist is unreadable, and no choice
for dump in wrong mask_wrong; do
    expect 1 moeparity compare gold $dump.st --map replay
    has out '^routing    29 of 30 choices of experts agree; flips: 0 with a certificate, 1 without'
    has out '^FAIL       first at p0.layers.3.topk_idx, '
    has out 'row 2, position 3: expected expert '
done
for dump in beyond half fewer; do
    expect 1 moeparity compare gold $dump.st --map replay
    has out '^routing    29 of 29 choices of experts agree; flips: 0 with a certificate, 0 without'
    has out "^  unreadable $dump.st, routed_experts: layer 3, 1 tokens; expected .*, found .* at row 2, position 3"
done
has out '; expected masks that mark 3 experts, found 2 at'

cat >masks.yaml <<'END'
names:
  map.{l}: layers.{l}.topk_idx
END
expect 0 moeparity compare gold masks.st --map masks.yaml
has out '^routing    30 of 30'

# physical ids: by the map's list, without it, with a hole, by another layer's
cat >physical.yaml <<'END'
names:
  routed_experts: layers.*.topk_idx
logical: p2l
END
expect 0 moeparity compare gold by_map.st --map physical.yaml
has out '^routing    30 of 30'
expect 1 moeparity compare gold unsaid.st --map replay
has out '^  unreadable .*; of physical experts, say which they are \(logical\)$'
expect 1 moeparity compare gold hole.st --map physical.yaml
has out '^routing    29 of 29'
has out '^  unreadable .*layer 3, 1 tokens; expected experts below 37, found 36 at row 2, position 3$'
expect 1 moeparity compare gold far.st --map physical.yaml
has out '^  unreadable .*layer 3, 1 tokens; expected experts below 37, found 37 at row 2, position 3$'
expect 1 moeparity compare gold other_lists.st --map physical.yaml
has out '^FAIL       first at p0.layers.2.topk_idx, '
refused 3 "unsaid.st: expected the tensor 'p2l', which says what the physical experts of 'routed_experts' are$" \
    moeparity compare gold unsaid.st --map physical.yaml

# predict needs the choices only, and to be told how many rows they are
cat >choices.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

taps, _ = f.load("taps.st")
f.save("choices.st", {k: v.astype(np.int16) for k, v in taps.items() if k.endswith("topk_idx")})
END
expect 0 moeparity run -m "$model" -i gold/input.safetensors --numerics fp32 -o taps.st
/usr/bin/python3 -B choices.py "$DATA/../cli" || fail choices.py
expect 0 moeparity predict "$model" --plan tp=2,ep=2 --routing measured:taps.st --json taps.json
expect 0 moeparity predict "$model" --plan tp=2,ep=2 --routing measured:choices.st --batch 3x5 --json choices.json
diff <(sed 's/taps.st/FILE/' taps.json) <(sed 's/choices.st/FILE/' choices.json) || fail 'the choices alone make another prediction'
refused 2 '--batch: needed, since choices.st has choices only, which do not say how many rows its 15 tokens are$' \
    moeparity predict "$model" --plan tp=2,ep=2 --routing measured:choices.st
refused 3 'choices.st: holds the routing of 15 tokens, the batch is 3 x 6$' \
    moeparity predict "$model" --plan tp=2,ep=2 --routing measured:choices.st --batch 3x6
