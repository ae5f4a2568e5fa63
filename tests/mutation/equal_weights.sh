# A wrong expert map on experts that are equal bit for bit: nobody can see it, so
# it is UNPROVEN and not VERIFIED; what differs all the same is DIFFERS.
moeparity spec shadow-a --yaml | sed 's/^layers: .*/layers: 2/; s/^experts: .*/experts: 4/; s/^twin_expert: .*/twin_expert: -1/' >small.yaml
expect 0 moeparity golden make --model small.yaml --tokens 1x4 --numerics exact --export-weights --out distinct
copy() { foreign copy $1/model.safetensors "model\.layers\.(\d+)\.mlp\.experts\.$2\.(.*)" "model.layers.\1.mlp.experts.$3.\2"; }
cp -r distinct all_equal
copy all_equal '\d+' 0
cp -r distinct pairs_equal
copy pairs_equal 2 0
copy pairs_equal 3 1

# The experts of rank 0 on every rank; experts dealt round robin.
local_id=mutant_e01-local-id-as-global-at-load
dealt=mutant_e02-experts-dealt-round-robin
ends() # CODE WORD PROGRAM MODEL
{
    expect "$1" "$3" verify "$4" --plan dp=2,ep=2 --batch 4x12 --numerics exact
    has out "^$2 "
}
ends 0 VERIFIED moeparity distinct
ends 1 DIFFERS $local_id distinct
ends 1 DIFFERS $dealt distinct
ends 6 UNPROVEN $local_id all_equal
ends 6 UNPROVEN $dealt all_equal
ends 6 UNPROVEN $local_id pairs_equal
ends 1 DIFFERS $dealt pairs_equal
has out '^  equal      experts 0 and 2 of layer 0 are equal bit for bit, and 3 more pairs \(ep\)$'

# Rows that meet the experts of another layer, where those are equal and the rest
# of the layers is not.
cp -r distinct layers_share
foreign copy layers_share/model.safetensors 'model\.layers\.\d+\.mlp\.experts\.(.*)' 'model.layers.0.mlp.experts.\1'
for program in moeparity mutant_s02-stale-layer-of-experts; do
    expect 6 $program verify layers_share --plan pp=2,ep=2,scope=replica --batch 4x12 --numerics exact
    has out '^UNPROVEN   experts of layers 0 and 1 are equal bit for bit, so agreement would prove nothing about pp \(exact\)$'
done
expect 1 mutant_s02-stale-layer-of-experts verify distinct --plan pp=2,ep=2,scope=replica --batch 4x12 --numerics exact
expect 0 moeparity verify layers_share --plan dp=2,pp=2,ep=2 --batch 4x12 --numerics exact
