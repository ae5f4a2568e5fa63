# Dumps under other people's names: Hugging Face's modules, Megatron's with their
# axes and stages, a YAML map with slices; and their types.
expect 0 moeparity run -m seed-mini --layers 3 --batch 6x10 --numerics fp32 -o taps.st
foreign bundle taps.st gold
foreign hf gold/fp32.safetensors hf.st
expect 0 moeparity compare gold hf.st --map hf
has out 'names by the map hf$'
has out '^PASS       21 taps'
refused 3 "hf.st: no tensor has the name of a tap of gold; found e\.g\. '.*', expected e\.g\. 'p0\.logits' \(is a --map needed\?\)" \
    moeparity compare gold hf.st
foreign edit hf.st model.layers.1.mlp 'x[4, 7, 3] += 1'
expect 1 moeparity compare gold hf.st --map hf
has out '^FAIL       first at p0.layers.1.ffn_out, '
has out 'row 4, position 7, column 3: .*; hf.st$'

foreign megatron gold/fp32.safetensors mg --pp 2
expect 0 moeparity compare gold mg --map megatron
has out '^PASS       21 taps'
foreign edit mg/rank_00001.safetensors module.decoder.layers.0.mlp 'x[7, 4, 3] += 1'
expect 1 moeparity compare gold mg --map megatron
has out '^FAIL       first at p0.layers.2.ffn_out, ' # the stage counts from 0
has out 'row 4, position 7, column 3: .*; rank 1 \(pp 1\)$'

# types choose the file of the bundle; values of bf16 are off by up to 2^-9
foreign hf gold/fp32.safetensors half.st --dtype BF16
refused 3 'gold: expected bf16.safetensors' moeparity compare gold half.st --map hf
foreign bundle taps.st gold --numerics bf16 --relative 1e-2
expect 0 moeparity compare gold half.st --map hf
has out '^golden     gold, bf16; '
foreign hf gold/fp32.safetensors half.st --dtype F16
expect 0 moeparity compare gold half.st --map hf
expect 1 moeparity compare gold half.st --map hf --numerics fp32 --positions 0:9
expect 1 moeparity compare gold hf.st --map hf --numerics bf16
foreign hf gold/fp32.safetensors double.st --dtype F64
expect 0 moeparity compare gold double.st --map hf
has out "^numerics   all values of the dump's F64 activations are fp32 numbers: held against fp32 "
expect 0 moeparity compare gold double.st --map hf --numerics fp32

# a map of one's own, whose slices place the shards of two ranks
cat >map.yaml <<'END'
prefix: "net."
names:
  block{l}.out: layers.{l}.out
  head: logits
slices:
  0: {"*": "b=0:2"}
  1: {"*": "b=2:6"}
END
rename='
import sys; sys.path.insert(0, sys.argv[1])
import foreign as f
taps, _ = f.load("gold/fp32.safetensors")
for rank, rows in ((0, slice(0, 2)), (1, slice(2, 6))):
    out = {"net.block%d.out" % l: taps["p0.layers.%d.out" % l][rows] for l in range(3)}
    out["net.head"] = taps["p0.logits"][rows]
    f.save("own/rank_%05d.safetensors" % rank, out)
'
mkdir own
/usr/bin/python3 -B -c "$rename" "$DATA/../cli" || fail rename
expect 0 moeparity compare gold own --map map.yaml
has out '^PASS       4 taps'
foreign edit own/rank_00001.safetensors net.head 'x[3, 9, 0] += 1'
expect 1 moeparity compare gold own --map map.yaml
has out 'row 5, position 9, column 0: .*; rank 1$'
sed -i 's/b=2:6/b=2:5/' map.yaml
expect 1 moeparity compare gold own --map map.yaml
has out '^  misshapen  rank 1, net.head: expected shape \[3,10,512\], found \[4,10,512\]$'
sed -i 's/b=2:5/b=2/' map.yaml
refused 3 "map.yaml:7:.*: expected ranges such as .*, found 'b=2'" moeparity compare gold own --map map.yaml
refused 3 'nothing.yaml: .*ready maps are hf, megatron, llama, onnx and replay' moeparity compare gold own --map nothing.yaml

# an MLP and routed experts side by side: `mlp` is one of them, and no ready map says so
expect 0 moeparity golden make -m "$ORACLE/gemma4_text/text" --tokens 3x7 --numerics fp32 -o sides
foreign hf sides/fp32.safetensors sides.st
refused 2 '--map hf: mlp is one of two branches .* expected a map of one.s own$' \
    moeparity compare sides sides.st --map hf
cat >sides.yaml <<'END'
names:
  model.layers.{l}.self_attn: layers.{l}.attn_out
  model.layers.{l}.mlp: layers.{l}.ffn_out
  model.layers.{l}: layers.{l}.out
  lm_head: logits
END
expect 0 moeparity compare sides sides.st --map sides.yaml
has out '^PASS       13 taps'
