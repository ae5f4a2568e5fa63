# bf16 runs of PyTorch 2.13 (tests/data/torch) that add a token's eight experts in
# three ways.  All are right, also the one that rounds after every addition.
expect 0 moeparity golden make -m "$ORACLE/mixtral/top8_linear" --tokens 2x6 --numerics bf16 -o top8
for how in index_put index_add bmm; do
    expect 0 moeparity compare top8 "$DATA/torch/$how.safetensors" --json $how.json
    has out '^PASS       21 taps'
done
# they are not the same runs
jq '[.taps[] | .relative_rms]' index_put.json >put
jq '[.taps[] | .relative_rms]' index_add.json >add
! cmp -s put add || fail 'index_put and index_add are one run'

# and a combine without the first of the eight experts is found in such a run
cat >drop.py <<'END'
import sys
sys.path.insert(0, sys.argv[1] + "/../cli")
import foreign as f
import numpy as np
tensors, meta = f.load(sys.argv[1] + "/torch/index_put.safetensors")
w = tensors["p0.layers.0.topk_weight"].reshape(2, 6, -1)[:, :, :1]
tensors["p0.layers.0.ffn_out"] = tensors["p0.layers.0.ffn_out"] * (1 - w)
f.save("drop.st", tensors, meta, dtype="BF16")
END
with_numpy drop.py "$DATA"
expect 1 moeparity compare top8 drop.st
has out '^FAIL       first at p0.layers.0.ffn_out'
