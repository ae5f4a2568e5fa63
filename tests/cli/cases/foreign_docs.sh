# The documents: the hook script compiles, has about thirty lines and names what
# the ready map knows; the YAML map of docs/compare.md is one.
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

expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp32 -o taps.st
foreign bundle taps.st gold
awk '/^```yaml$/ {on = 1; next} /^```$/ {on = 0} on' "$docs/compare.md" >map.yaml
refused 3 "taps.st: no tensor has the name of a tap of gold" moeparity compare gold taps.st --map map.yaml
