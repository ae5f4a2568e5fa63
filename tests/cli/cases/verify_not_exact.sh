# A sum that needs more than 53 bits is no verdict: exit 4 names the place and a way out; the same model with smaller values is verified.
sed 's/embedding: 1.5/embedding: 3e5/' "$DATA/../mutation/models/heads.yaml" >large.yaml
plan=(--plan tp=2,ep=2 --batch 4x11)
expect 4 moeparity verify large.yaml "${plan[@]}" --numerics exact
[ ! -s out ] || fail 'a report without a verdict'
has err 'reference: layers.0.attn.norm: [0-9.]+ bits, 53 allowed; .*--numerics fp32'
sed 's/embedding: 1.5/embedding: 300/' "$DATA/../mutation/models/heads.yaml" >small.yaml
expect 0 moeparity verify small.yaml "${plan[@]}" --numerics exact
has out '^VERIFIED   bit-identical$'
