# Goldens of weights as quantised: a run with those weights passes, one with the
# original ones does not, and how far the two models are apart is said beside it.

model=$ORACLE/mixtral/tiny
make() # OPTION...
{
    rm -rf gold
    expect 0 moeparity golden make --model "$model" --tokens 2x6 --numerics fp32 --out gold "$@"
}

make --weights-bits 4 --block 8 --export-weights
has out '^quantised  experts as int of 4 bits, a scale for 8 values$'
has out "^quantiser  logits against those of the original weights: KL mean .*; top-1 equal in .*: the quantiser's doing, "
[ "$(jq -c .weights.quantised gold/manifest.json)" = '{"bits":4,"block":8,"format":"int"}' ] || fail 'manifest'
expect 0 moeparity run -m gold -i gold/input.safetensors -n fp32 -o quantised.st
expect 0 moeparity compare gold quantised.st
expect 0 moeparity run -m "$model" -i gold/input.safetensors -n fp32 -o original.st
expect 1 moeparity compare gold original.st
has out 'first at p0.layers.0.ffn_out'
expect 0 moeparity golden check gold --model "$model"

# the manifest's rule is the one that is checked
jq '.weights.quantised.block = 4' gold/manifest.json >manifest && mv manifest gold/manifest.json
expect 1 moeparity golden check gold --model "$model"
jq '.weights.quantised.bits = 3' gold/manifest.json >manifest && mv manifest gold/manifest.json
expect 3 moeparity golden check gold --model "$model"
has out 'weights-bits: int has 4 or 8, found 3, while reading weights.quantised of gold/manifest.json'

# of a checkpoint that is quantised already
expect 0 moeparity golden make --model "$DATA/gguf/granitemoe__biased.gguf" --original "$ORACLE/granitemoe/biased" \
    --tokens 1x6 --numerics fp32 --out same
has out '^quantiser  .* top-1 equal in 6 of 6 rows; largest difference 0 at '
model=$ORACLE/formats/tensors_int4
make --original "$ORACLE/formats/tensors_int8"
has out '^quantiser  .* largest difference 0\.[0-9]+ at '

refused 2 '--block: layers.0.experts.0.gate: rows of 96 values, 96 % 5 is not 0' \
    moeparity golden make --model "$model" --tokens 1x6 --weights-bits 8 --block 5 --out none
refused 2 '--block: of --weights-bits or --format, and neither is given' \
    moeparity golden make --model "$model" --tokens 1x6 --block 5 --out none
refused 2 '--original: .* is the original one where --weights-bits or --format quantises it' \
    moeparity golden make --model "$model" --tokens 1x6 --format mxfp4 --original "$model" --out none
refused 2 '--original: .*: 2 layers and a vocabulary of 53, found 4 and 160 in ' \
    moeparity golden make --model "$model" --tokens 1x6 --original "$ORACLE/mixtral/tiny" --out none
[ ! -e none ] || fail 'something was written'
