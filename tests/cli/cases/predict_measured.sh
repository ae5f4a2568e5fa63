# moeparity predict from the routing of a run: of a file of taps, of a golden.

MODEL="shadow-b --plan tp=2,ep=2,mb=2"
expect 0 moeparity run --model shadow-b --batch 14x13 --plan tp=3,dp=2,ep=3 --out taps.safetensors
expect 0 moeparity predict $MODEL --routing measured:taps.safetensors --json p.json
has out '^batch      prefill: 14 rows x 13 tokens$'
has out '^routing    measured in taps.safetensors$'

# choices without a slot, counted here from the ids: by token group, in order
cat >count.py <<'END'
import json, math, struct, sys
f = open("taps.safetensors", "rb").read()
n = struct.unpack("<Q", f[:8])[0]
head = json.loads(f[8:8 + n])
kept = total = 0
for name, t in head.items():
    if not name.endswith(".topk_idx"):
        continue
    a, b = t["data_offsets"]
    idx = struct.unpack("<%dq" % ((b - a) // 8), f[8 + n + a:8 + n + b])
    half = len(idx) // 2
    for group in (idx[:half], idx[half:]):
        slots = math.ceil(len(group) / 26 * 1.05)
        kept += sum(min(group.count(e), slots) for e in range(26))
        total += len(group)
print(1 - kept / total)
END
dropped=$(python3 count.py)
jq -e --argjson d "$dropped" '.dropped - $d | fabs < 1e-12' p.json >jq.out || fail "dropped: counted $dropped"
jq -e '.routing == "measured in taps.safetensors"' p.json >jq.out || fail "routing in p.json"

# the model's routing on another plan's groups, and as a popularity
expect 0 moeparity predict $MODEL --routing measured:taps.safetensors --sweep mb=1..7
[ "$(wc -l <out)" = 5 ] || fail "expected a head and 1, 2, 4, 7"
expect 0 moeparity predict $MODEL --popularity taps:taps.safetensors --decode --kv 100 --batch 64
has out '^routing    taps:taps.safetensors, drawn$'

refused 3 'taps.safetensors: holds the routing of 14 x 13 tokens, the batch is 14 x 12' \
    moeparity predict $MODEL --routing measured:taps.safetensors --batch 14x12
refused 3 'expected shape .182,3., found .182,1.' \
    moeparity predict shadow-a --plan tp=2 --routing measured:taps.safetensors
refused 2 'sweep: seq changes the batch' \
    moeparity predict $MODEL --routing measured:taps.safetensors --sweep seq=13..26
refused 2 'popularity: taps.safetensors has the choices of every token' \
    moeparity predict $MODEL --routing measured:taps.safetensors --popularity uniform
refused 3 'none.safetensors: ' moeparity predict $MODEL --routing measured:none.safetensors

# a golden bundle's file; one prompt of several
expect 0 moeparity golden make --model shadow-b --tokens 4x13 --seed 1 --numerics exact --out gold
expect 0 moeparity predict $MODEL --routing measured:gold/exact.safetensors
has out '^batch      prefill: 4 rows x 13 tokens$'
