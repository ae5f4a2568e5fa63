# What a difference looks like: foreign dumps with one mistake each, planted with
# NumPy or by a run of the model with another setting; and those of which nothing
# is said.
expect 0 moeparity golden make --model shadow-a --layers 2 --tokens 4x10 --seed 3 --numerics fp32 --out gold
foreign hf gold/fp32.safetensors right.st

# looks REGEX MODULE EXPRESSION: the module's values changed
looks()
{
    cp right.st wrong.st
    foreign edit wrong.st "$2" "$3"
    expect 1 moeparity compare gold wrong.st --map hf --json wrong.json
    has out "^    looks like $1.* \(explains (99|100)\.[0-9]{2} % of the difference\)$"
    [ "$(grep -c '^    \(looks like\|or        \) ' out)" = "${4-1}" ] || fail "more than one likeness: $1"
    [ "$(jq -r '.diagnosis | length' wrong.json)" = "${4-1}" ] || fail "JSON: $1"
}
looks 'every value is twice' model.layers.1.mlp 'x *= 2'
expect 1 moeparity compare gold wrong.st --map hf --junit wrong.xml --html wrong.html
has wrong.xml '^looks like every value is twice .*explains 100.00 %'
has wrong.html 'looks like.*p0.layers.1.ffn_out: every value is twice'
looks 'every value has the other sign' model.layers.0.self_attn 'x *= -1'
looks 'every row is multiplied by a number of its own' model.layers.0.self_attn 'x *= 1 + np.arange(4)[:, None, None]'
looks 'every row is off by the same values' model.embed_tokens 'x += np.sin(np.arange(x.shape[-1]))'
looks 'shifted by 1 position: found are the values of an earlier one' model.layers.1.self_attn 'x[:, 1:] = x[:, :-1].copy()'
looks 'sequence first' model.layers.1 'x = x.transpose(1, 0, 2).reshape(x.shape)'
looks 'positions are in reverse order' model.layers.1 'x = x[:, ::-1]'
looks 'rows of the batch are exchanged: 0 holds 3, ' model.layers.1 'x = x[::-1]'
looks 'rows hold what other rows hold too, .*: row 2 position 7 that of row 1 position 4' model.norm 'x[2, 7] = x[1, 4]'
looks 'transposed: \[rows, columns, positions\]' lm_head 'x = x.transpose(0, 2, 1).reshape(x.shape)'
looks 'experts are permuted: 0 holds that of 19, ' model.layers.0.mlp.gate 'x = x[:, ::-1]'
looks 'columns are shifted by 1' lm_head 'x[..., 1:] = x[..., :-1].copy()'
looks 'zeros, .*, in 20 of 40 rows' model.norm 'x[:2] = 0'
looks 'rounded to 8 bits \(bf16\)' model.layers.0.mlp.gate \
    'u = x.view(np.uint32); u += 0x7fff + (u >> 16 & 1); u &= 0xffff0000'
looks 'cut off to 8 bits \(bf16\)' model.layers.0.mlp.gate 'u = x.view(np.uint32); u &= 0xffff0000'
looks 'numbers of experts are off by [+]1' model.layers.0.mlp.topk_idx 'x += 1'

# operators, from the model of the bundle: its finer taps and its weights
expect 0 moeparity golden make --model shadow-a --layers 2 --tokens 4x10 --seed 3 --numerics fp32 --taps all \
    --export-weights --out all
file='import sys; sys.path.insert(0, "'$DATA'/../cli")
import foreign as f
t, w = f.load("all/fp32.safetensors")[0], f.load("all/model.safetensors")[0]
'
looks 'a sum of 2 shares \(2 ranks\) that are counted 2, 1 times' model.layers.0.self_attn "$file
c = t['p0.layers.0.attn.context'].reshape(4, 10, 60)[..., :30]
x += c @ w['model.layers.0.self_attn.o_proj.weight'][:, :30].T"
looks 'layers\.1\.mlp\.out is added once more' model.layers.1.mlp "$file
x += t['p0.layers.1.mlp.out'].reshape(x.shape)"
looks 'the values of layers\.1\.moe\.combine' model.layers.1.mlp "$file
x[:] = t['p0.layers.1.moe.combine'].reshape(x.shape)"
looks 'weights not divided by their sum' model.layers.0.mlp.topk_weight "$file
x[:] = np.take_along_axis(t['p0.layers.0.moe.probs'], t['p0.layers.0.topk_idx'], 1)"
looks 'computed from layers\.0\.mid' model.layers.0.mlp.gate "$file
x[:] = t['p0.layers.0.mid'] @ w['model.layers.0.mlp.gate.weight'].T + w['model.layers.0.mlp.gate.bias']"

# two mistakes at once, and a row that is merely wrong: nothing fits
unlike()
{
    cp right.st wrong.st
    foreign edit wrong.st "$1" "$2"
    expect 1 moeparity compare gold wrong.st --map hf --json wrong.json
    ! grep -q 'looks like' out || fail "a diagnosis of $2"
    [ "$(jq -c .diagnosis wrong.json)" = '[]' ] || fail "JSON of $2"
}
unlike model.layers.1.mlp 'x[:2] *= 2; x[2:] = x[2:, ::-1]'
unlike model.layers.1.mlp 'x += np.random.default_rng(1).normal(size=x.shape)'
unlike model.layers.1.self_attn 'x[1, 3, 5] += 1'

# two plain files
expect 0 moeparity run -m shadow-a --layers 2 --batch 4x10 --numerics fp32 -o a.st
cp a.st b.st
foreign edit b.st layers.1.out 'x = x[:, ::-1]'
expect 1 moeparity compare a.st b.st --json b.json
has out '^    looks like positions are in reverse order .*explains 100.00 %'
[ "$(jq -r '.diagnosis[0].signature' b.json)" = reversed ] || fail 'JSON of two files'
