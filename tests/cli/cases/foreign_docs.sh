# The documents: the hook script compiles, has about thirty lines and names what
# the ready map knows; the YAML map of docs/compare.md places all four ranks.
docs=$DATA/../../docs
awk '/^```python$/ {on = 1; next} /^```$/ {on = 0} on' "$docs/gpu-teams.md" >hooks.py
[ "$(grep -c . hooks.py)" -le 38 ] || fail 'the hook script has grown'
/usr/bin/python3 -m py_compile hooks.py || fail 'hooks.py'
cat >names.py <<'END'
import re
source = open("hooks.py").read()
scope = {"re": re}
exec("\n".join(line for line in source.splitlines() if line.startswith(("FFN", "ENDS", "WANTED"))), scope)
wanted = scope["WANTED"].fullmatch
for name in ("model.embed_tokens", "model.norm", "lm_head", "model.layers.3", "model.layers.12.self_attn",
             "model.layers.3.mamba", "model.final_layernorm", "model.layers.3.feed_forward.router",
             "model.layers.3.mlp", "model.layers.3.mlp.gate", "model.layers.3.block_sparse_moe.gate"):
    assert wanted(name), name
for name in ("model", "model.layers", "model.layers.3.mlp.experts", "model.layers.3.self_attn.q_proj"):
    assert not wanted(name), name
END
/usr/bin/python3 names.py || fail 'names of the hooks'

# what the hook keeps of routers as libraries have had them, on stand-ins
cat >keep.py <<'END'
import contextlib
import io
import sys
import types
source = open("hooks.py").read()
Linear = type("Linear", (), {})
scope = {"torch": types.SimpleNamespace(nn=types.SimpleNamespace(Linear=Linear)), "sys": sys}
exec(source[source.index("seen = {}"):source.index("checkpoint, inputs")], scope)


class Tensor:
    def __init__(self, name, shape, floats=True):
        self.name, self.shape, self.floats = name, shape, floats

    def is_floating_point(self):
        return self.floats

    def long(self):
        return self


def kept(module, *values):
    scope["seen"].clear()
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        scope["keep"]("model.layers.0.mlp.gate")(module, (), values if len(values) > 1 else values[0])
    return {k.rsplit(".", 1)[1]: x.name for k, x in scope["seen"].items()}, told.getvalue()


logits, all_scores = Tensor("logits", (6, 8)), Tensor("all", (6, 8))
scores, ids = Tensor("scores", (6, 2)), Tensor("ids", (6, 2), False)
other = object()
assert kept(Linear(), logits) == ({"gate": "logits"}, "")
assert kept(other, ids, scores) == ({"topk_idx": "ids", "topk_weight": "scores"}, "")
assert kept(other, logits, scores, ids) == ({"topk_idx": "ids", "topk_weight": "scores"}, "")
assert kept(other, all_scores, ids) == ({"topk_idx": "ids"}, "")
for values in ((logits,), (logits, scores), (ids, ids)):
    found, told = kept(other, *values)
    assert found == {} and told.startswith("model.layers.0.mlp.gate: expected one tensor of experts"), (found, told)
END
/usr/bin/python3 keep.py || fail 'what the hook keeps'

expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp32 -o taps.st
foreign bundle taps.st gold
awk '/^```yaml$/ {on = 1; next} /^```$/ && on {exit} on' "$docs/compare.md" >map.yaml
refused 3 "taps.st: no tensor has the name of a tap of gold" moeparity compare gold taps.st --map map.yaml

# four ranks as the map has them: [s, b, h], layers by stage, rows and logits in halves
cat >ranks.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
taps, _ = f.load("mini.st")
for rank in range(4):
    stage, half = divmod(rank, 2)
    rows, out = slice(8 * half, 8 * half + 8), {}
    for l in range(8):
        of = f"layers.{8 * stage + l}."
        out[f"net.layers.{l}.mlp.output"] = taps[of + "ffn_out"][rows].swapaxes(0, 1)
        out[f"net.router.{l}.ids"] = taps[of + "topk_idx"].reshape(16, 3, -1)[rows].swapaxes(0, 1).reshape(24, -1)
    if stage == 1:
        out["net.head.output"] = taps["logits"][:, :, 256 * half:256 * half + 256].swapaxes(0, 1)
    f.save(f"ranks/rank_{rank:05d}.safetensors", {name: x.copy() for name, x in out.items()})
END
expect 0 moeparity run -m seed-mini --batch 16x3 --numerics fp32 -o mini.st
foreign bundle mini.st mini
mkdir ranks
/usr/bin/python3 -B ranks.py "$DATA/../cli" || fail ranks.py
expect 0 moeparity compare mini ranks --map map.yaml
has out '^PASS       33 taps'
foreign edit ranks/rank_00003.safetensors net.layers.2.mlp.output 'x[1, 5, 7] += 1'
expect 1 moeparity compare mini ranks --map map.yaml
has out '^FAIL       first at p0.layers.10.ffn_out, '
has out 'row 13, position 1, column 7: .*; rank 3'
