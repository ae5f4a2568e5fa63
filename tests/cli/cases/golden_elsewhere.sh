# A bundle on another machine: it holds no path of the one that made it, check
# finds its checkpoint, says which numbers a processor repeats, and writes nothing.
mkdir here there
copy_case "$ORACLE/mixtral/tiny"
mv case here/tiny
expect 0 moeparity golden make --model "$PWD/here/tiny/" --tokens 2x5 --out here/gold
[ "$(jq -r .model.argument here/gold/manifest.json)" = tiny ] || fail 'the name of the checkpoint'
! grep -rqF "$PWD" here/gold || fail 'a path of this machine in a bundle'
(cd here/tiny && moeparity golden make --model . --tokens 2x5 --numerics exact --out ../inside) >out 2>err ||
    fail 'a checkpoint named .'
[ "$(jq -r .model.argument here/inside/manifest.json)" = tiny ] || fail 'the name of .'

# Beside the bundle, elsewhere, nowhere, and another one of the same name.
expect 0 moeparity golden check here/gold here/inside
mv here/gold there
expect 3 moeparity golden check there/gold
has out '^there/gold .*made from checkpoint tiny, which is not beside it; --model says where it is$'
expect 0 moeparity golden check there --model here/tiny
expect 3 moeparity golden check there --model here/none
has out '^there/gold .*here/none: no such model'
flip here/tiny/model.safetensors model.layers.0.self_attn.q_proj.weight 1 64
expect 1 moeparity golden check there --model here/tiny
has out '^there/gold .*made with other weights of here/tiny: fingerprint'

# A path in a manifest, as older bundles have it, is read as a name.
flip here/tiny/model.safetensors model.layers.0.self_attn.q_proj.weight 1 64
edit_json there/gold/manifest.json '.model.argument = "/no/such/tiny"'
expect 0 moeparity golden check there --model here/tiny

# The committed ones: no path, and what was patched is said where the file says it.
n=0
for manifest in "$SELF"/*/manifest.json "$SELF"/../oracle/*/*/manifest.json; do
    jq -e '[.model.argument, .generator] | all(. == null or (contains("/") | not))' "$manifest" >jq.out ||
        fail "$manifest holds a path"
    expected=${manifest%manifest.json}expected.safetensors
    [ -e "$expected" ] || continue
    patch=$(header "$expected" | jq -r '.__metadata__.hf_patch // empty')
    [ -n "$patch" ] || continue
    jq -r .generator "$manifest" | grep -qF "patched: ${patch%)}" || fail "$manifest says nothing of $patch"
    n=$((n + 1))
done
[ $n = 1 ] || fail "$n patched classes"

# Another processor's kernels: whatever they round, no file is touched.
copy_case "$SELF/shadow-b"
seen() { find case -printf '%p %s %T@ ' -type f -exec cksum {} \;; }
seen >before
expect 0 env OPENBLAS_CORETYPE=Nehalem moeparity golden check case
has out '^case +ok'
seen | cmp -s - before || fail 'check writes into what it checks'

refused 2 '--generator: at most 255 bytes, found 300' \
    moeparity golden seal case --generator "$(printf %300s x)"
