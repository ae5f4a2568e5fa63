# Dumps of another engine (engine.py, NumPy): fed the bundle's inputs layer by
# layer or block by block, or free; right ones pass, faults are found where they
# are, and a dump that does not show what it was fed is refused.
engine() # OUT NUMERICS OPTIONS...
{
    with_numpy "$DATA/../cli/engine.py" dump gold gold "$2" "$1" "${@:3}"
}

found() # TAP NUMERICS OPTIONS...: the first failing tap, of all layers' the first
{
    engine wrong.st "${@:2}"
    expect 1 moeparity compare gold wrong.st --json out.json
    jq -e --arg tap "$1" '.first.tap | test($tap)' out.json >/dev/null ||
        fail "$*: first at $(jq .first.tap out.json), expected $1"
}

expect 0 moeparity golden make -m shadow-a --layers 3 --tokens 4x9 --parts 2 \
    --numerics fp32,bf16 --export-weights -o gold
for numerics in fp32 bf16; do
    for forced in '' '--forced layer' '--forced block'; do
        for how in '' '--sums ascending' '--sums descending --eager' '--sums tp'; do
            # shellcheck disable=SC2086
            engine right.st $numerics $forced $how
            expect 0 moeparity compare gold right.st
        done
    done
done
has out '^forced     block by block, with this golden.s inputs$'

# on correct inputs the operator that is wrong is the one that fails
found 'layers.0.attn_out$' bf16 --forced layer --fault mask_off_by_one
found 'layers.1.ffn_out$' bf16 --forced block --fault stale_row
found 'layers.0.topk_weight$' bf16 --forced block --fault renormalise_missing
found 'layers.0.attn_out$' bf16 --forced layer --fault heads_transposed
found 'layers.0.attn.norm$' fp32 --forced layer --fault eps
found 'final_norm$' bf16 --forced layer --fault final_norm_missing
found 'layers.0.router_logits$' fp32 --forced block --fault router_bf16
found 'layers.0.attn_out$' fp32 --forced layer --fault bf16_exponentials
# errors that all rows share, each of them within its tolerance
has out 'rms error of its rows together [0-9.]+ times what roundings make'

# --- what is refused ---

cat >change.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
tensors, meta = f.load("right.st")
drop = lambda key: {k: v for k, v in meta.items() if k != key}
f.save("free.st", tensors, drop("forced"))
f.save("unsaid.st", tensors, drop("forced_with"))
f.save("other.st", tensors, {**meta, "forced_with": "0123456789abcdef"})
f.save("word.st", tensors, {**meta, "forced": "operator"})
f.save("whole.st", tensors, meta)
f.save("unfed.st", {k: v for k, v in tensors.items() if k != "p0.fed/layers.1.out"}, meta)
f.save("unblocked.st", {k: v for k, v in tensors.items() if k != "p0.fed/layers.1.ffn.norm"}, meta)
moved = dict(tensors)
moved["p0.fed/layers.0.out"] = tensors["p0.fed/layers.0.out"].copy()
moved["p0.fed/layers.0.out"][1, 2, 3] *= 1.0078125
f.save("moved.st", moved, meta)
ffn = ("router_logits", "topk_idx", "topk_weight", "ffn_out")
alone = {k: v for k, v in tensors.items() if k.endswith(ffn) or "/" in k and k.endswith(".ffn.norm")}
f.save("alone.st", alone, meta)
f.save("starved.st", {k: v for k, v in alone.items() if k != "p0.fed/layers.1.ffn.norm"}, meta)
both = {k: v for k, v in tensors.items() if k.endswith("layers.1.attn_out")}
f.save("beside.st", {**alone, **both}, meta)
f.save("layerwise.st", alone, {**meta, "forced": "layer"})
wrong = {**alone, "p0.layers.1.ffn_out": alone["p0.layers.1.ffn_out"] * 1.5}
f.save("wrong.st", wrong, meta)
names = {k[3:] for k in tensors if k.endswith(ffn) and "fed/" not in k}
open("ffn.yaml", "w").write("names:\n" + "".join(f"  {k}: {k}\n" for k in names))
few = {k: v for k, v in tensors.items() if "p0.layers.1." not in k and "fed/layers.0.out" not in k}
f.save("few.st", few, meta)
END
engine right.st bf16 --forced block
/usr/bin/python3 -B change.py "$DATA/../cli" || fail change.py
expect 0 moeparity compare gold whole.st
refused 3 "unsaid.st: says forced=block: expected metadata 'forced_with', the xxh3 of bf16.safetensors" moeparity compare gold unsaid.st
refused 3 "other.st: was forced with another bundle: expected forced_with [0-9a-f]{16}, .* found '0123456789abcdef'" moeparity compare gold other.st
refused 3 "word.st: metadata 'forced': expected layer or block, found 'operator'" moeparity compare gold word.st
refused 3 "unfed.st: says forced=block: expected what it was fed, 'p0.fed/layers.1.out'" moeparity compare gold unfed.st
refused 3 "unblocked.st: says forced=block: expected what it was fed, 'p0.fed/layers.1.ffn.norm'" moeparity compare gold unblocked.st
refused 3 "moved.st: 'p0.fed/layers.0.out': was fed other values than the golden's" moeparity compare gold moved.st
refused 3 'whole.st: says that it was forced: expected the bundle that fed it as GOLDEN' moeparity compare right.st whole.st
# of a layer that the dump has nothing of nothing need be shown; its taps are missing
expect 1 moeparity compare gold few.st
has out 'missing    p0.layers.1.attn_out'
# a run of the expert layers alone shows what these read, and nothing of attention
expect 0 moeparity compare gold alone.st --map ffn.yaml
expect 1 moeparity compare gold wrong.st --map ffn.yaml
has out '^FAIL .*first at p0.layers.1.ffn_out'
refused 3 "starved.st: says forced=block: expected what it was fed, 'p0.fed/layers.1.ffn.norm'" moeparity compare gold starved.st --map ffn.yaml
sed 's/names:/&\n  layers.1.attn_out: layers.1.attn_out/' ffn.yaml >both.yaml
refused 3 "beside.st: says forced=block: expected what it was fed, 'p0.fed/layers.0.out'" moeparity compare gold beside.st --map both.yaml
refused 3 "layerwise.st: says forced=layer: expected what it was fed, 'p0.fed/embed'" moeparity compare gold layerwise.st --map ffn.yaml
# tolerances for free dumps are wider than for forced ones, and then say so
expect 0 moeparity compare gold free.st
! grep -q '^forced' out || fail 'free.st was judged as forced'
# a bundle without tolerances for forced dumps
expect 0 moeparity golden make -m shadow-a --layers 3 --tokens 4x9 --parts 2 --numerics exact -o exact
jq -r '.files."exact.safetensors".xxh3' exact/manifest.json >xxh3
/usr/bin/python3 -B - "$DATA/../cli" <<'END' || fail 'exact.st'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
tensors, _ = f.load("exact/exact.safetensors")
f.save("exact.st", tensors, {"numerics": "exact", "forced": "layer", "forced_with": open("xxh3").read().strip()})
END
refused 3 "the dump says forced=layer: .* has no tolerances for such dumps" moeparity compare exact exact.st

# --- what cannot be told ---

# tolerances as wide as the rows: neither PASS nor FAIL, with how wide they are
cat >widen.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np
tensors, meta = f.load("gold/bf16.safetensors")
x = tensors["p0.layers.1.ffn_out"].reshape(36, -1)
rms = np.sqrt((x.astype(float) ** 2).mean(axis=1))
share = float(sys.argv[2])
tensors["p0.layers.1.ffn_out.rms_tolerance"] = (share * rms).astype(np.float32)
tensors["p0.layers.1.ffn_out.tolerance"] = (10 * rms).astype(np.float32)
f.save("gold/bf16.safetensors", tensors, meta)
END
engine right.st bf16
/usr/bin/python3 -B widen.py "$DATA/../cli" 0.6 || fail widen.py
expect 0 moeparity compare gold right.st --json out.json --html out.html --junit out.xml
has out '^compared   .*, 1 undecided, 0 fail'
has out '^  p0.layers.1.ffn_out: 36 of 36 rows might be half or twice themselves and pass: tolerances of 0.6 of the tap.s rms$'
has out.xml '<system-out>UNDECIDED, '
jq -e '.undecided_taps == 1 and ([.taps[] | select(.verdict == "UNDECIDED") | .tap] == ["p0.layers.1.ffn_out"])' \
    out.json >/dev/null || fail 'out.json: UNDECIDED'
/usr/bin/python3 -B widen.py "$DATA/../cli" 0.4 || fail widen.py
expect 0 moeparity compare gold right.st
has out '^compared   .*, 0 undecided, 0 fail'
