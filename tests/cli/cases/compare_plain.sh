# Two plain files of taps, without a bundle: padding that is declared, choices that
# were too close to call, figures of the logits.
expect 0 moeparity run --model shadow-a --layers 2 --input "$SELF/shadow-a/input.safetensors" --numerics fp32 --out a.st
cat >make.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

taps, meta = f.load("a.st")
taps = {k: v.copy() for k, v in taps.items()}
idx, logits = taps["p0.layers.1.topk_idx"], taps["p0.layers.1.router_logits"]
token, n_t = 7, 11
chosen = idx[token].tolist()
other = next(e for e in np.argsort(-logits[token]) if e not in chosen)


def write(name, change, base=taps, meta=meta):
    x = {k: v.copy() for k, v in base.items()}
    change(x)
    f.save(name, x, meta)


def pad(x):
    x["p0.logits"] = np.concatenate([x["p0.logits"], np.full((*x["p0.logits"].shape[:2], 3), np.nan, np.float32)], 2)


n_v = taps["p0.logits"].shape[2]
write("padded.st", pad, meta={**meta, "padded": str(n_v + 3)})
write("undeclared.st", pad)
wrong = {**taps, "p0.logits": taps["p0.logits"] * 2}
write("padded_wrong.st", pad, base=wrong, meta={**meta, "padded": str(n_v + 3)})


def flip(x):
    x["p0.layers.1.topk_idx"][token, -1] = other
    for name in ("layers.1.out", "layers.1.ffn_out", "final_norm", "logits"):
        x["p0." + name].reshape(-1, x["p0." + name].shape[-1])[token] *= 1.5


def tie(x):
    x["p0.layers.1.router_logits"][token, other] = x["p0.layers.1.router_logits"][token, chosen[-1]]


def close(x):
    tie(x)
    x["p0.layers.1.router_logits"][token, other] -= 1e-6


def far(x):
    tie(x)
    x["p0.layers.1.router_logits"][token, other] -= 0.1


for name, change in (("tie", tie), ("close", close), ("far", far)):
    base = {k: v.copy() for k, v in taps.items()}
    change(base)
    write(name + "_a.st", lambda x: None, base=base)
    write(name + "_b.st", flip, base=base)
    exact = {**meta, "numerics": "exact"}
    write(name + "_exact_a.st", lambda x: None, base=base, meta=exact)
    write(name + "_exact_b.st", flip, base=base, meta=exact)
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py

# figures, with the verdict and not part of it
expect 0 moeparity compare a.st a.st --json out.json
has out '^logits     KL mean 0, largest 0 nat; .* top-1 equal in 66 of 66 rows; largest difference 0 .*\(not judged by it\)$'
jq -e '.schema == "moeparity.compare/1" and .logits_not_judged.rows == 66 and .flips == 0' out.json >/dev/null ||
    fail 'out.json: figures'

# a vocabulary with padding: declared, forgotten, and wrong before it
expect 0 moeparity compare a.st padded.st
has out '^padding    198 values behind the model.s columns are not judged$'
expect 1 moeparity compare a.st undeclared.st
has out '^  p0.logits  *expected shape '
expect 1 moeparity compare a.st padded_wrong.st
has out '^FAIL       first at p0.logits'

# a token between two experts may take either, and what follows is set aside
for kind in tie close; do
    expect 0 moeparity compare ${kind}_a.st ${kind}_b.st --json out.json
    has out '^routing    1 tokens chose other experts and were set aside from there on$'
    jq -e '.flips == 1 and .verdict == "SAME"' out.json >/dev/null || fail "$kind: out.json"
done
expect 1 moeparity compare far_a.st far_b.st
has out '^first      p0.layers.1.topk_idx$'
# in exact only a tie may fall either way
expect 0 moeparity compare tie_exact_a.st tie_exact_b.st
expect 1 moeparity compare close_exact_a.st close_exact_b.st
# the same where the dump is placed
expect 0 moeparity compare tie_a.st tie_b.st --rows 0:6
has out '^routing    .*; flips: 1 with a certificate, 0 without;'
expect 1 moeparity compare far_a.st far_b.st --rows 0:6
