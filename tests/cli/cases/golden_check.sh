# golden check: what is not what the manifest says, or not what is computed now.
spoiled() # CODE REGEX: ./case differs, and nothing else is said of it
{
    expect 1 moeparity golden check case
    [ "$1" = 1 ] || fail "exit 1, expected $1"
    has out "^case .*$2"
    has err '^moeparity: not every golden case holds$'
}
malformed() # REGEX
{
    expect 3 moeparity golden check case
    has out "^case .*$1"
}
copy_case "$SELF/shadow-b"
expect 0 moeparity golden check case

# Bytes of the files.
flip case/exact.safetensors p0.layers.3.out 5 1
spoiled 1 'case/exact.safetensors: fingerprint of p0.layers.3.out differs'
copy_case "$SELF/shadow-b"
flip case/fp32.safetensors p0.logits.tolerance 2 1
spoiled 1 'case/fp32.safetensors: fingerprint of p0.logits.tolerance differs'
copy_case "$SELF/shadow-b"
rm case/fp32.safetensors
malformed 'case/fp32.safetensors: is in the manifest and not in the folder'
copy_case "$SELF/shadow-b"
touch case/more
malformed 'case/more: is not in the manifest'

# Members of the manifest: the files are right, what they came from is not.
changed() # FILTER: a copy with another manifest
{
    copy_case "$SELF/shadow-b"
    edit_json case/manifest.json "$1"
}
changed '.comment = "no member of ours"'
expect 0 moeparity golden check case
changed '.schema = "moeparity.golden/2"'
malformed 'expected schema moeparity.golden/3, found moeparity.golden/2'
changed '.origin = "elsewhere"'
malformed "origin: expected self or oracle, found 'elsewhere'"
changed 'del(.model.layers)'
malformed 'manifest.json: '
changed '.model.layers = 6'
malformed 'model.layers: expected 1 to 5, found 6'
changed '.model.layers = 4'
spoiled 1 'made with other weights of shadow-b'
changed '.weights.seed = 2 | .batch.seed = 2'
spoiled 1 'case/input.safetensors: is not what seed 2 makes now'
changed '.weights.seed = 2 | .batch.seed = null'
spoiled 1 'made with other weights of shadow-b: fingerprint [0-9a-f]*, found '
changed '.weights.xxh3 = "0123456789abcdef"'
spoiled 1 'made with other weights of shadow-b: fingerprint 0123456789abcdef, found '
changed '.weights.origin = "dreamt"'
malformed "weights.origin: expected procedural or checkpoint, found 'dreamt'"
changed '.model.spec |= sub("heads: 12"; "heads: 11")'
malformed 'reading case/manifest.json'
changed '.model.spec |= sub("norm_eps: [^\n]*"; "norm_eps: 0.25")'
spoiled 1 'made for another description of model shadow-b'
changed '.model.argument = "none.yaml" | .model.spec |= sub("norm_eps: [^\n]*"; "norm_eps: 0.25")'
spoiled 1 'differs from what is computed now'
changed '.batch.rows = 5'
malformed 'token_groups: entry 2 is 6'
changed '.token_groups = [0, 4, 2, 6]'
malformed 'token_groups: entry 2 is 2, expected ascending rows from 0 to 6'
changed '.token_groups = [0, "3", 6]'
malformed 'token_groups: entry 1 is -1, expected ascending rows from 0 to 6'
changed '.token_groups = [0, 6]'
spoiled 1 'differs from what is computed now'
changed '.numerics = {}'
malformed 'numerics: expected 1 to 8'
changed '.numerics.fp31 = .numerics.fp32'
malformed "found 'fp31'"
changed '.taps = "all"'
spoiled 1 'computed now: '

# Made by other libraries: what rounds is held to its tolerances.
changed '.libraries.arithmetic = "another machine"'
expect 0 moeparity golden check case
has out '^case +ok \(what rounds: within its tolerances, other libraries made it\)$'

# Every case is looked at, whatever the first says; folders may be many.
changed '.batch.rows = 5'
cp -r "$SELF/shadow-b" whole
expect 0 moeparity golden make --model shadow-b --tokens 2x5 --out here
arithmetic() { jq .libraries.arithmetic $1/manifest.json; }
said='' # what rounds is repeated bit for bit only by the kernels that made it
[ "$(arithmetic whole)" = "$(arithmetic here)" ] ||
    said=' \(what rounds: within its tolerances, other libraries made it\)'
expect 3 moeparity golden check case whole here
has out '^case .*token_groups'
has out "^whole +ok$said\$"
has out '^here +ok$'
refused 3 'none: no manifest.json in it or below' moeparity golden check whole none

# No room for what an oracle's case computes is no internal error.
small=$ORACLE/mixtral/leftpad
expect 0 moeparity golden check "$small"
expect 4 bash -c 'trap "" XFSZ; ulimit -f 8; exec moeparity golden check "$1"' - "$small"
has out 'leftpad .*run.safetensors.*: needs [0-9]+ bytes'
has err 'not every golden case holds$'
