# A batch by which all tokens get the same weights proves nothing: another one is
# drawn, and the report says which.
cat >case.yaml <<'YAML'
name: alike
family: seed
layers: 4
hidden: 20
heads: 3
kv_heads: 1
head_size: 10
rotated: 4
experts: 3
experts_per_token: 2
expert_inner: 25
shared_inner: 0
dense_inner: 0
vocabulary: 66
ffn: moe
norm_eps: 1e-05
rope:
  theta: 10000
  scaling: plain
sliding_window: 0
chunk: 2
attention:
  qk_norm: all
  scale: 0.5
gated: false
activation: gelu
router:
  scale: 2.5
shared_gate: true
renormalise: true
tied_head: true
bias:
  qkv: false
  attention_out: true
  router: false
  ffn: true
capacity:
  rule: none
  domain: group
  priority: position
  dropped: zero
twin_expert: 0
YAML
expect 0 moeparity verify case.yaml --seed 33000350 --plan tp=3,ep=3,placement=2/0+1/2 --batch 1x6 --numerics exact --json v.json --allow-partial
has out '^  batch      drawn again, with seed 33000351: before, agreement would have proved nothing$'
jq -e '.seed == 33000350 and .plans[0].cases[0].batch_seed == 33000351
       and .plans[0].cases[0].telling' v.json >/dev/null || fail 'the seed in JSON'
