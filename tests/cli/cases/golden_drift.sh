# Emulations of several plans run free and stay within the tolerances of the
# golden with their token groups; a factor of two, a wrong row, a NaN do not.
drifts() # MODEL BATCH PARTS PLAN...
{
    expect 0 moeparity golden make --model "$1" --tokens "$2" --parts "$3" \
        --numerics fp32 --out "$1"
    local plan
    for plan in "${@:4}"; do
        expect 0 moeparity run --model "$1" --input "$1/input.safetensors" \
            --numerics fp32 --plan "$plan" --out dump
        reader judge "$1" fp32 dump
        reader spoil "$1" fp32 dump
        has out '^[0-9]+ taps: a factor of two, a wrong row and a NaN are seen$'
    done
}
drifts shadow-a 6x11 3 mb=3 tp=2,pp=3,mb=3,ep=2 dp=3,tp=2,ep=2,etp=3 rounds=3,tp=5,ep=5
drifts shadow-b 6x13 2 mb=2 tp=6,pp=2,ep=2,etp=3,mb=2 dp=2,tp=3,ep=6
drifts seed-mini 4x9 4 dp=2,mb=2,tp=2,ep=4 pp=4,mb=4,tp=2,ep=8,scope=replica

# Checkpoints: padding, and a Switch layer with both of its rules; and what
# other people's code computed in fp32.
for case in mixtral/leftpad switch_layer/cap_tight; do
    model=$ORACLE/$case
    rm -rf bundle
    expect 0 moeparity golden make --model "$model" --prompt 0 --numerics fp32 \
        --input "$model/expected.safetensors" --out bundle
    expect 0 moeparity run --model "$model" --input bundle/input.safetensors \
        --numerics fp32 --plan dp=3,ep=2,tp=2 --out dump
    reader judge bundle fp32 dump
    reader spoil bundle fp32 dump
    reader judge bundle fp32 "$model/expected.safetensors"
    expect 0 moeparity golden check bundle --model "$model"
done
