# Forced dumps of another engine (engine.py) whose errors are smaller than bf16's
# roundings, each of them, and are told by what they add up to: one row of a
# matrix of an expert, and an activation that is nearly the right one.
engine() # GOLDEN OUT OPTIONS...
{
    with_numpy "$DATA/../cli/engine.py" dump "$1" "$1" bf16 "$2" "${@:3}"
}

expect 0 moeparity golden make -m seed-mini --layers 6 --tokens 4x12 --numerics bf16 --export-weights -o gold
jq -e '.numerics.bf16.mistakes | map(select(.what == "gelu by tanh for erf" and .forced == "block" and
    .tap == "layers.*.ffn_out" and .reach >= 7)) | length == 1' gold/manifest.json >/dev/null || fail 'manifest.json: mistakes'

# right ones, whatever they round
for how in '' '--sums tp --eager'; do
    # shellcheck disable=SC2086
    engine gold right.st --forced block $how
    expect 0 moeparity compare gold right.st --json out.json
    has out '^mistake    gelu by tanh for erf: not found, -?[0-9.e-]+ of it at (ffn_out|out), by '
    jq -e '(.mistakes | length > 0 and all(.found == false)) and
        ([.taps[].slope_ratio] | max <= 1)' out.json >/dev/null || fail "$how: out.json"
done

# a row of an expert's matrix, 10 % off: no row of the tap is out of its tolerance
engine gold row.st --forced block --fault expert_row_10_percent
expect 1 moeparity compare gold row.st --json out.json
has out '^  FAIL  p0.layers.[0-9].ffn_out: column 7 of the rows that chose expert [0-9]+ is 1\.(09|1)[0-9]* times what it should be'
jq -e '.first.failed_rows == 0 and .first.ratio < 1 and .first.slope_ratio > 1 and .verdict == "FAIL"' \
    out.json >/dev/null || fail 'row.st: out.json'

# an activation, in the style of the honest ones
for how in '' '--sums tp --eager'; do
    # shellcheck disable=SC2086
    engine gold gelu.st --forced block --fault gelu_tanh $how
    expect 1 moeparity compare gold gelu.st --json out.json
    has out '^  FAIL  p0.layers.0.ffn_out: with all such taps together it has (0.9|1.)[0-9]* of what gelu by tanh for erf makes'
    jq -e '[.mistakes[] | select(.found) | .what] | unique == ["gelu by tanh for erf"]' out.json >/dev/null ||
        fail "gelu.st $how: out.json"
done

# a bundle that does not say how far roundings reach, as older ones, has no opinion
edit_json gold/manifest.json 'del(.numerics.bf16.mistakes)'
expect 0 moeparity compare gold gelu.st
! grep -q '^mistake' out || fail 'mistakes without a reach'
