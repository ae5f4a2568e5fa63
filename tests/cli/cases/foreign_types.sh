# What a dump's values, types and metadata say of its numerics, and against which
# file of the bundle it is held: bf16 values in F32, doubles, integers alone.
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 3x5 --numerics exact,fp32,bf16 -o gold
cat >make.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

half, _ = f.load("gold/bf16.safetensors")
half = {k: v for k, v in half.items() if f.is_tap(k)}
single, _ = f.load("gold/fp32.safetensors")
single = {k: v for k, v in single.items() if f.is_tap(k)}
router = ("router_logits", "topk_weight")
f.save("bf16.st", half)
f.save("said.st", half, {"numerics": "fp32"})
# a router in fp32, as many engines have it; and one wrong bit beyond bf16
f.save("router.st", {k: v + np.float32(1e-6) * (v != 0) if k.endswith(router) else v for k, v in half.items()})
wrong = {k: v.copy() for k, v in half.items()}
wrong["p0.logits"][0, 0, 0] *= np.float32(1 + 2.0 ** -12)
f.save("bit.st", wrong)
wrong["p0.logits"][0, 0, 0] = np.nan
f.save("nan.st", wrong)
double = lambda taps: {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in taps.items()}
f.save("single64.st", double(single))
f.save("half64.st", double(half))
halved = lambda v: v.astype(np.float16).astype(np.float32) if v.dtype.kind == "f" else v
f.save("fp16.st", {k: halved(v) for k, v in single.items()})
f.save("embed.st", {"p0.embed": half["p0.embed"]})
f.save("zeros.st", {k: v * 0 if v.dtype.kind == "f" else v for k, v in single.items()})
f.save("ids.st", {k: v for k, v in single.items() if v.dtype.kind == "i"})
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py

# .float() before saving: recognised, said, and judged as what it is
for dump in bf16 router; do
    expect 0 moeparity compare gold $dump.st --json out.json --html out.html
    has out '^golden     gold, bf16; '
    has out "^numerics   all values of the dump's F32 activations are bf16 numbers: held against bf16 \(--numerics overrules\)$"
    has out.html 'activations are bf16 numbers'
    jq -e '.numerics == "bf16" and (.numerics_why | test("bf16 numbers"))' out.json >/dev/null || fail 'out.json'
done
moeparity compare gold fp16.st >out # within or not: the golden's weights are bf16
has out 'activations are fp16 numbers: held against bf16'
# where the golden has a file of fp16, fp16 numbers are its
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 3x5 --numerics fp16,bf16 -o halves
cat >halves.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
for name in ("fp16", "bf16"):
    taps = {k: v for k, v in f.load(f"halves/{name}.safetensors")[0].items() if f.is_tap(k)}
    f.save(name + "_single.st", taps)
    f.save(name + "_half.st", taps, dtype={"fp16": "F16", "bf16": "BF16"}[name])
END
/usr/bin/python3 -B halves.py "$DATA/../cli" || fail halves.py
for name in fp16 bf16; do
    expect 0 moeparity compare halves ${name}_single.st
    has out "activations are $name numbers: held against $name "
    expect 0 moeparity compare halves ${name}_half.st
    has out "^golden     halves, $name; "
done
expect 1 moeparity compare halves fp16_single.st --numerics bf16

# the same values under another claim, or with one bit more, are fp32's
for claim in 'bf16.st --numerics fp32' said.st bit.st; do
    # shellcheck disable=SC2086
    expect 1 moeparity compare gold $claim
    has out '^golden     gold, fp32; '
    ! grep -q '^numerics' out || fail "$claim: $(grep ^numerics out)"
done
# what is on every lattice, or on it in fp32 too, is no evidence
for dump in embed zeros; do
    expect 1 moeparity compare gold $dump.st
    has out '^golden     gold, fp32; '
done

expect 1 moeparity compare gold nan.st # which is a number of no type, and of every one
has out '^golden     gold, bf16; '

# .double() adds no bits either
expect 0 moeparity compare gold half64.st
has out "^numerics   all values of the dump's F64 activations are bf16 numbers: held against bf16 "
expect 0 moeparity compare gold single64.st
has out "^numerics   all values of the dump's F64 activations are fp32 numbers: held against fp32 "

# without a bf16 file: fp32, and how to make it
rm gold/bf16.safetensors
expect 1 moeparity compare gold bf16.st
has out '^numerics   .* bf16 numbers, but gold has no bf16.safetensors: held against fp32; golden make --numerics fp32,bf16 makes both$'

# run's own file is fp64: held against fp32 where there is no better, never exact
expect 0 moeparity run -m shadow-a --layers 2 --input gold/input.safetensors -o taps.st
expect 0 moeparity compare gold taps.st
has out '^golden     gold, fp32; '
has out '^numerics   the dump holds doubles, and gold no fp64.safetensors: held against fp32$'
refused 3 'taps.st: its metadata says fp64, which cannot have the bits of exact$' \
    moeparity compare gold taps.st --numerics exact
expect 0 moeparity run -m shadow-a --layers 2 --input gold/input.safetensors --numerics exact -o taps.st
expect 0 moeparity compare gold taps.st
has out '^golden     gold, exact; '

# integers have no numerics: any file
expect 1 moeparity compare gold ids.st # the other taps are missing
has out '^numerics   the dump holds integers only, which have none: held against fp32 \(--numerics chooses another\)$'
printf 'names: {"layers.{l}.topk_idx": "layers.{l}.topk_idx"}\n' >ids.yaml
expect 0 moeparity compare gold ids.st --map ids.yaml
mv gold/fp32.safetensors fp32.st
expect 0 moeparity compare gold ids.st --map ids.yaml
has out '^golden     gold, exact; '
expect 0 moeparity run -m shadow-a --layers 2 --input gold/input.safetensors -o taps.st
refused 3 'gold: expected fp64.safetensors' moeparity compare gold taps.st
