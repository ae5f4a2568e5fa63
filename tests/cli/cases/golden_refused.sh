# What golden make refuses, each beside something that it takes.
make()
{
    moeparity golden make "$@"
}
base='--model shadow-b --tokens 2x5 --numerics exact'
expect 0 make $base --out good

# The command line.
needed='--model, --out and one of --input and --tokens are needed'
refused 2 "$needed" make --model shadow-b --out x
refused 2 "$needed" make --model shadow-b --tokens 2x5
refused 2 "$needed" make --tokens 2x5 --out x
refused 2 "$needed" make $base --input good/input.safetensors --out x
refused 2 "the folder is given with --out, found 'x'" make x $base --out y
refused 2 "expected make, seal or check, found 'mend'" moeparity golden mend
refused 2 "at least one FOLDER" moeparity golden check
refused 2 "one FOLDER and --generator are needed" moeparity golden seal good
refused 2 "--tokens: expected ROWSxTOKENS .*found '2'" \
    make --model shadow-b --tokens 2 --out x
refused 2 "--seed: expected a positive number, found '0'" make $base --seed 0 --out x
refused 2 '--layers: shadow-b has 5 layers, found 6' make $base --layers 6 --out x
refused 2 '--parts: at most 256, found 257' make $base --parts 257 --out x
expect 0 make $base --parts 256 --out parts # most of them empty
expect 0 moeparity golden check parts
refused 2 "--taps: expected coarse or all, found 'fine'" make $base --taps fine --out x
refused 2 "numerics: expected exact, .*found 'fp31'" \
    make --model shadow-b --tokens 2x5 --numerics exact,fp31 --out x
refused 2 '--numerics: fp32 is given twice' \
    make --model shadow-b --tokens 2x5 --numerics fp32,exact,fp32 --out x
refused 2 "--numerics: expected at least one, found ','" \
    make --model shadow-b --tokens 2x5 --numerics , --out x
refused 3 'nobody: no such model' make --model nobody --tokens 2x5 --out x

# A manifest is JSON, and JSON is UTF-8.
moeparity spec shadow-b --yaml >plain.yaml
odd=$(printf 'odd\377.yaml')
cp plain.yaml "$odd"
refused 3 'model: a manifest cannot hold it, expected UTF-8' \
    make --model "$odd" --tokens 2x5 --numerics exact --out x
expect 0 make --model plain.yaml --tokens 2x5 --numerics exact --out from_yaml
mkdir strange
touch "strange/$(printf 'odd\377')"
refused 3 "strange: a manifest cannot hold a file's name, expected UTF-8" \
    moeparity golden seal strange --generator somebody
[ ! -e strange/manifest.json ] || fail 'a manifest of half of the files'
rm strange/odd*
touch strange/even
expect 0 moeparity golden seal strange --generator somebody

# The input.
refused 3 'nothing: ' make --model shadow-b --input nothing --out x
refused 3 "expected a tensor hidden_in or p0.hidden_in, found none" \
    make --model "$ORACLE/switch_layer/cap_tight" --input good/input.safetensors --out x
tiny="--model $ORACLE/mixtral/tiny --input $ORACLE/mixtral/tiny/expected.safetensors"
refused 2 'holds 3 prompts, a bundle one: choose it with --prompt' make $tiny --out x
refused 2 '--prompt: .* holds 3, numbered from 0, found 3' make $tiny --prompt 3 --out x
refused 2 "--prompt: .*found '-1'" make $tiny --prompt=-1 --out x
expect 0 make $tiny --prompt 2 --numerics exact --out prompt
has prompt/manifest.json '"tokens": 33'
refused 2 "--taps: a Switch layer has one set" make --taps all \
    --model "$ORACLE/switch_layer/cap_tight" --tokens 2x5 --out x
expect 0 make --taps coarse --model "$ORACLE/switch_layer/cap_tight" --tokens 2x5 --out switch

# The folder.
touch file
refused 3 'file: Not a directory' make $base --out file
refused 3 'no/such/x: cannot be made: No such file' make $base --out no/such/x
refused 3 'good: expected no such folder or an empty one' make $base --out good
expect 0 make $base --out good --force
touch good/notes
refused 3 'good/notes: is no file of the golden there' make $base --out good --force
rm good/notes
mkdir mine
echo x >mine/notes
refused 3 'mine: expected no such folder' make $base --out mine
refused 3 'mine/manifest.json: No such file' make $base --out mine --force
copy_case "$ORACLE/mixtral/tiny"
refused 3 'case: other people.s numbers' make $base --out case --force
expect 0 moeparity golden check case good
[ "$(cat mine/notes)" = x ] || fail 'a refusal touched a file'

# Found while computing: nothing is left.
cat >inputs.py <<'END'
import json, numpy
for name, size in ("fine", 1.0), ("wide", 1e7), ("huge", 1e39), ("vast", 1e200):
    data = (size * numpy.cos(numpy.arange(2 * 5 * 48.0))).astype("<f8").tobytes()
    header = json.dumps({"hidden_in": {"dtype": "F64", "shape": [2, 5, 48],
                                       "data_offsets": [0, len(data)]}}).encode()
    header += b" " * (-len(header) % 8)
    open(name, "wb").write(len(header).to_bytes(8, "little") + header + data)
END
with_numpy inputs.py
model="--model $ORACLE/switch_layer/cap_tight"
expect 0 make $model --input fine --out fine.d
refused 4 'bits, 53 allowed: a sum does not fit the 53 bits of exact mode; leave exact out' \
    make $model --input wide --out x
expect 0 make $model --input wide --numerics fp32 --out wide.d
# A weight that is smaller has a finer grid, and what is added to it needs more
# bits: a little smaller fits, much smaller does not, and the operator is named.
for edit in conv1d.bias=mamba.conv D=mamba.y; do
    for scale in -12 -40; do
        rm -rf jamba && cp -r "$ORACLE/jamba/tiny" jamba && chmod -R u+w jamba
        foreign edit jamba/model.safetensors "model.layers.0.mamba.${edit%=*}" "x *= 2.0 ** $scale"
        if [ $scale = -12 ]; then
            expect 0 make --model jamba --layers 1 --tokens 2x5 --numerics exact --out good --force
            expect 0 moeparity verify jamba --layers 1 --numerics exact --plan tp=2 --batch 2x5
        else
            refused 4 "layers.0.${edit#*=}: [5-9][0-9].[0-9] bits, 53 allowed: a sum does not fit the 53 bits" \
                make --model jamba --layers 1 --tokens 2x5 --numerics exact --out x
            expect 4 moeparity verify jamba --layers 1 --numerics exact --plan tp=2 --batch 2x5
            has err "^moeparity: rank 0: reference: layers.0.${edit#*=}: [5-9][0-9].[0-9] bits, 53 allowed; verify fewer layers"
        fi
    done
done
refused 3 'is [-a-z]*: a golden wants finite values, while computing fp32' \
    make $model --input huge --numerics fp32 --out x
refused 3 ' inf bits, 53 allowed: a sum overflows, or is over a NaN, while computing exact$' \
    make $model --input vast --numerics exact --out x
expect 0 moeparity run $model --input fine --numerics exact --out fine.d/run
refused 4 'a sum does not fit the 53 bits' moeparity run $model --input wide --numerics exact --out x
for plan in '' '--plan ep=2,dp=2'; do
    expect 3 moeparity run $model --input vast --numerics exact $plan --out x
    has err 'a sum overflows, or is over a NaN$'
done
left=$(ls -d x* ./*.partial* ./*.old* 2>/dev/null)
[ -z "$left" ] || fail "left: $left"
