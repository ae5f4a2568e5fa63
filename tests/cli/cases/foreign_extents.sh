# Dumps whose extents are the model's plus padding, and dumps whose axes are in
# another order than they say: padding is declared, and what is not declared is
# refused with what would fit.
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 3x5 --numerics fp32 -o gold
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 1x5 --numerics fp32 -o line
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 5x5 --numerics fp32 -o square
cat >make.py <<'END'
import os
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np


def taps(folder):
    return {k: v for k, v in f.load(folder + "/fp32.safetensors")[0].items() if f.is_tap(k)}


def pad(x, n, value):
    return np.concatenate([x, np.full(x.shape[:-1] + (n - x.shape[-1],), value, x.dtype)], axis=-1)


def wrong(x):
    x = x.copy()
    x[1, 2, 3] += 1
    return x


whole = taps("gold")
n_v = whole["p0.logits"].shape[-1]
router = [k for k in whole if k.endswith("router_logits")]
padded = dict(whole, **{"p0.logits": pad(whole["p0.logits"], 64, np.nan)})
meta = {"padded:p0.logits": "64"}
f.save("undeclared.st", padded)
f.save("declared.st", padded, meta)
f.save("wrong.st", dict(padded, **{"p0.logits": wrong(padded["p0.logits"])}), meta)
f.save("vocabulary.st", padded, {"padded": "64"})
f.save("small.st", padded, {"padded:p0.logits": str(n_v - 1)})
f.save("other.st", padded, {"padded:p0.logits": "63"})
f.save("unrelated.st", dict(padded, **{"p0.logits": -padded["p0.logits"]}))
more = {k: pad(v, 24, -np.inf) if k in router else pad(v, 64, 7) if k.endswith(("_out", ".out", ".embed", ".final_norm")) else v
        for k, v in padded.items()}
f.save("all.st", more)
past = pad(whole["p0.embed"], 64, 0)
f.save("embed_past.st", dict(whole, **{"p0.embed": past}), {"slice:p0.embed": ":,:,0:64"})
for name, meta, logits in (("tp4", {}, padded["p0.logits"]), ("tp4_said", {"padded:p0.logits": "64"}, padded["p0.logits"]),
                           ("tp4_wrong", {}, wrong(padded["p0.logits"]))):
    os.mkdir(name)
    for rank in range(4):  # the last one holds padding only
        own = dict(whole, **{"p0.logits": logits[..., 16 * rank:16 * rank + 16]})
        f.save(f"{name}/rank_{rank:05d}.safetensors", own, dict(meta, **{"slice:p0.logits": f":,:,{16 * rank}:{16 * rank + 16}"}))

# axes: 3 x 5 shows in the shapes, 5 x 5 and flattened rows only in the values
seq = lambda x: x.swapaxes(0, 1) if x.ndim == 3 else x.reshape(3, 5, -1).swapaxes(0, 1).reshape(15, -1)
f.save("sbh.st", {k: seq(v) for k, v in whole.items()})
f.save("flat.st", {k: seq(v).reshape(15, -1) for k, v in whole.items()})
f.save("flat_wrong.st", {k: seq(v).reshape(15, -1) + (v.dtype.kind == "f") for k, v in whole.items()})
f.save("middle.st", dict(whole, **{"p0.embed": whole["p0.embed"].transpose(0, 2, 1)}))
f.save("first.st", dict(whole, **{"p0.embed": whole["p0.embed"].transpose(2, 1, 0)}))
f.save("first_flat.st", dict(whole, **{"p0.layers.0.router_logits": whole["p0.layers.0.router_logits"].T}))
f.save("sbh_padded.st", dict(whole, **{"p0.logits": seq(padded["p0.logits"])}))
f.save("sbh_declared.st", dict(whole, **{"p0.logits": seq(padded["p0.logits"])}), {"padded": "64"})
same = taps("square")
f.save("square.st", {k: v.swapaxes(0, 1) if v.ndim == 3 else v for k, v in same.items()})
line = taps("line")  # one row: both orders of axes are the same
line["p0.embed"] = line["p0.embed"].copy()
line["p0.embed"][0, 1, 2] += 0.01
f.save("line.st", line)
f.save("half.st", {k: v[1:3].swapaxes(0, 1) for k, v in whole.items() if v.ndim == 3}, {"slice": "b=1:3"})
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py
cat >padded.yaml <<'END'
names: {}
padded:
  logits: 64
  embed: 64
  final_norm: 64
  layers.{l}.attn_out: 64
  layers.{l}.ffn_out: 64
  layers.{l}.out: 64
  layers.{l}.router_logits: 24
END

# declared: counted and not judged, whatever it holds; the rest is judged
expect 0 moeparity compare gold declared.st --json out.json
has out '^padding    405 values behind the model.s columns are not judged$' # 15 tokens, 64 - 37
has out '^PASS '
jq -e '.padding_values == 405' out.json >/dev/null || fail 'padding_values'
expect 0 moeparity compare gold vocabulary.st
has out '^padding    405 values'
expect 0 moeparity compare gold tp4_said
has out '^padding    405 values'
expect 0 moeparity compare gold tp4 # a slice of the logits past the vocabulary says it, too
has out '^padding    405 values'
expect 1 moeparity compare gold tp4_wrong
has out '^FAIL       first at p0.logits, '
expect 0 moeparity compare gold all.st --map padded.yaml
has out '^padding    1005 values' # and 15 * (2 * 4 + 8 * 4)
expect 1 moeparity compare gold wrong.st
has out '^FAIL       first at p0.logits, '
has out 'row 1, position 2, column 3: '
! grep -q 'fit the golden' out || fail 'padding that is declared is told again'
expect 1 moeparity compare gold other.st
has out 'p0.logits: expected shape \[3,5,63\], found \[3,5,64\]; its first 37 columns fit the golden; if the others are padding, say padded:p0.logits 64$'
refused 3 "small.st: 'p0.logits': expected at least 37 columns with padding, found '36'$" moeparity compare gold small.st
sed -i 's/logits: 64/logits: 63/' padded.yaml
expect 1 moeparity compare gold declared.st --map padded.yaml # the file knows better of logits
has out '^padding    405 values'
sed -i 's/^  logits: .*/  nothing: 3/' padded.yaml
refused 3 "padded.yaml:3:.*: padded: expected the name of a tap, found 'nothing'$" moeparity compare gold all.st --map padded.yaml

# not declared: refused, with what fits; nothing is said of what does not
expect 1 moeparity compare gold undeclared.st
has out '^  misshapen  undeclared.st, p0.logits: expected shape \[3,5,37\], found \[3,5,64\]; its first 37 columns fit the golden; if the others are padding, say padded:p0.logits 64$'
expect 1 moeparity compare gold embed_past.st
has out '^  misshapen  embed_past.st, p0.embed: expected columns within 0:[0-9]+, found 0:64; its first 60 columns fit the golden'
expect 1 moeparity compare gold unrelated.st
has out 'p0.logits: expected shape \[3,5,37\], found \[3,5,64\]$'

# axes in another order
fits() # DUMP REGEX
{
    expect 1 moeparity compare gold "$1"
    has out "$2"
}
fits sbh.st '^  misshapen  sbh.st, p0.embed: .*; its values fit the golden as \[positions, rows, columns\]: say axes sbh$'
fits flat.st '^hint       p0.embed: its values fit the golden as \[positions, rows, columns\]: say axes sbh$'
fits middle.st 'p0.embed: .*; its values fit the golden as \[rows, columns, positions\]: write it with the columns last$'
fits first.st 'p0.embed: .*; its values fit the golden as \[columns, positions, rows\]: write it with the columns last$'
fits first_flat.st 'router_logits: .*; its values fit the golden as \[columns, rows, positions\]: write it with the columns last$'
fits sbh_padded.st 'p0.logits: .* as \[positions, rows, columns\]: say axes sbh; if the others are padding, say padded:p0.logits 64$'
fits sbh_declared.st 'p0.logits: .* as \[positions, rows, columns\]: say axes sbh$'
fits half.st 'p0.embed: .*; its values fit the golden as \[positions, rows, columns\]: say axes sbh$'
fits flat_wrong.st '^FAIL       first at p0.embed'
! grep -q 'fit the golden' out || fail 'a hint where nothing fits'
expect 1 moeparity compare line line.st
has out '^FAIL       first at p0.embed'
! grep -q 'fit the golden' out || fail 'a hint that is no news'
expect 1 moeparity compare square square.st --json out.json
has out '^hint       p0.embed: its values fit the golden as \[positions, rows, columns\]: say axes sbh$'
jq -e '.misfit | test("say axes sbh")' out.json >/dev/null || fail 'misfit'
printf 'names: {}\naxes: sbh\n' >sbh.yaml
for dump in sbh flat; do
    expect 0 moeparity compare gold $dump.st --map sbh.yaml
done
expect 1 moeparity compare gold declared.st --map sbh.yaml
has out 'p0.embed: .*; its values fit the golden as \[rows, positions, columns\]: say axes bsh$'
