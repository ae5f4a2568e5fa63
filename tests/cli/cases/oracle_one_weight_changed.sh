# One value of one weight differs: compare says where it shows first.
# The high bit of an F32 mantissa is flipped, so the value changes by a third.
copy_case "$ORACLE/mixtral/tiny"
expected=case/expected.safetensors

first_difference() # TENSOR TAP
{
    flip case/model.safetensors "$1" 2 64
    expect 0 moeparity run -m case -i $expected -o out.st
    expect 1 moeparity compare $expected out.st
    has out "^first      p0\.$2$"
    has out '^DIFFERS$'
    flip case/model.safetensors "$1" 2 64
}

first_difference model.layers.1.block_sparse_moe.gate.weight layers.1.router_logits
first_difference model.layers.2.self_attn.q_proj.weight layers.2.attn_out
first_difference model.layers.0.self_attn.v_proj.weight layers.0.attn_out
first_difference lm_head.weight logits

# and unchanged again
expect 0 moeparity run -m case -i $expected -o out.st
expect 0 moeparity compare $expected out.st
