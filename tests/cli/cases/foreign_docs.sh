# The documents: the five commands for GPU teams are of programs and options that
# are there, the capture's names are the ready map's; the YAML map of
# docs/compare.md places all four ranks.
docs=$DATA/../../docs
capture=$DATA/../../golden/capture
awk '/^```/ {within = !within; plain = $0 == "```"; next} within && plain' "$docs/gpu-teams.md" >commands
[ "$(grep -c . commands)" = 6 ] || fail 'five commands, and the fourth on several ranks'
ln -s "$DATA/../../golden" golden
eval "expect 0 $(sed -n 2p commands)"
for option in $(sed -n '4p;6p' commands | grep -o -- '--[a-z]*' | grep -v nproc); do
    grep -q "\"$option\"" "$capture/moeparity_transformers.py" || fail "no option $option"
done
for word in $(sed -n '5p' commands | grep -o -- '--[a-z]*'); do
    moeparity compare --help | grep -q -- "$word" || fail "no option $word"
done

# a tensor of every module of the capture's table, but the experts' own, has a tap
cat >names.py <<'END'
import ast
import sys
sys.path.insert(0, sys.argv[1] + "/../cli")
import foreign as f
source = ast.parse(open(sys.argv[2]).read())
(table,) = (node.value for node in source.body if isinstance(node, ast.AnnAssign) and node.target.id == "HF")
taps, _ = f.load("bundle/fp32.safetensors")
taps = {name[3:]: x for name, x in taps.items()}
for module, tap in ast.literal_eval(table).items():
    if not module.endswith(".experts") and not tap.startswith("+"):
        name = module.replace("{l}", "1")
        f.save(f"named/{name}.safetensors", {name: taps[tap.replace("{l}", "1")]})
END
mkdir named
with_numpy names.py "$DATA" "$capture/moeparity_capture.py"
[ "$(ls named | wc -l)" -ge 15 ] || fail 'few names'
for file in named/*; do
    expect 1 moeparity compare bundle "$file" --map hf --json out.json
    jq -e '([.findings[] | select(.kind != "missing")] == []) and ([.taps[] | select(.verdict == "PASS")] | length == 1)' \
        out.json >/dev/null || fail "$file: $(jq -c .findings out.json)"
done

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
