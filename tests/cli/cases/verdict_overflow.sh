# A reference that leaves the numbers is bad input: the setting or the weight is
# named, whatever the numerics; a model as it is does not overflow.
moeparity spec shadow-a --yaml >plain.yaml
for numerics in exact fp64 fp32 bf16; do
    expect 0 moeparity verify plain.yaml --plan tp=2 --numerics $numerics
done
scales() # EMBEDDING RESIDUAL ROUTER
{
    sed "/^norm_eps/i scale:\n  embedding: $1\n  residual: $2\n  logits_divisor: 1\nrouter:\n  scale: $3" plain.yaml >case.yaml
}
# a setting that alone leaves them is refused where it is read, two of them are found where they meet
scales 1e300 1 1
refused 3 'shadow-a: scale.embedding 1e\+300, expected a positive number from 1e-30 to 1e\+30, while reading case.yaml$' \
    moeparity verify case.yaml --plan tp=2
scales 1 1e30 1e30
for numerics in fp64 fp32 bf16; do
    expect 3 moeparity verify case.yaml --plan tp=2 --numerics $numerics
    [ ! -s out ] || fail 'a report of nothing'
    has err "^moeparity: .*shadow-a: layers\.0\.out overflows in the reference \($numerics\): scale\.residual is 1e\+30$"
done
# in exact mode the scores may be as large as they like
sed '/^norm_eps/i attention:\n  qk_norm: none\n  scale: 1e30' plain.yaml >case.yaml
expect 0 moeparity verify case.yaml --plan tp=2 --numerics exact

# an element of a checkpoint: 0xbd...... becomes 0xfe......, or 0xff...... (NaN);
# fp64 holds the one, nothing holds the other
tiny=$ORACLE/mixtral/tiny
name=model.layers.1.self_attn.q_proj.weight
copy_case "$tiny"
flip case/model.safetensors $name 7 67
expect 0 moeparity verify case --plan tp=2 --numerics fp64
for numerics in fp32 bf16; do
    expect 3 moeparity verify case --plan tp=2 --numerics $numerics
    has err "layers\.1\.attn\.[a-z_]+ overflows in the reference \($numerics\): layers\.1\.attn\.q holds -1\.[0-9]+e\+38 at row 0, column 1$"
done
copy_case "$tiny"
flip case/model.safetensors $name 7 66
for numerics in fp64 fp32 bf16; do
    expect 3 moeparity verify case --plan tp=2 --numerics $numerics
    has err "layers\.1\.attn\.q overflows in the reference \($numerics\): layers\.1\.attn\.q holds -?nan at row 0, column 1$"
done
