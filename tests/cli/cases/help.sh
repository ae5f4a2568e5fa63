# Help, usage and version.
codes='Exit codes: 0 verified or ok, 1 differs, 2 usage, 3 bad input, 4 not enough resources, 5 internal error, 6 partial or unproven\.'
lists_codes()
{
    tr '\n' ' ' <out | tr -s ' ' >line
    has line "$codes"
}
expect 0 moeparity --help
lists_codes
commands=$(awk '/^Commands:/ {on = 1; next} !NF {on = 0} on {print $1}' out)
[ "$(echo "$commands" | wc -l)" -ge 7 ] || fail "commands: $commands"
for command in $commands; do
    expect 0 moeparity "$command" --help
    lists_codes
    [ ! -s err ] || fail "help of $command on stderr"
    expect 0 moeparity "$command" --usage
    expect 2 moeparity "$command" --no-such-option
    has err "^moeparity $command: .*--no-such-option"
    [ ! -s out ] || fail 'stdout of a usage error'
done
# an option of several commands says the same in each, and what is usual
for command in $commands; do
    moeparity "$command" --help | sed -n 's/^ *\(-.,\)\? *\(--[a-z]*\)=[A-Zx]* *\([^(]*\).*/\2 \3/p' | sed 's/ *$//'
done | sort -u >said
for option in batch dtype json layers machine model numerics plan popularity seed stall trace; do
    [ "$(grep -c -- "^--$option " said)" = 1 ] || fail "--$option: $(grep -- "^--$option " said)"
done
expect 0 moeparity verify --help
has out '^ +--stall=SECONDS +.* \(30\)$'
has out '^ +-s, --seed=N .* \(1\)$'

expect 2 moeparity verify one two
has err "^moeparity verify: unexpected 'two'$"
expect 2 moeparity search one --slo 'latency_ms<1' --slo 'latency_ms<2' --slo 'latency_ms<3'
has err '^moeparity search: --slo: given more than 2 times$'
expect 0 moeparity --version
grep -Eqx 'moeparity [0-9]+\.[0-9]+\.[0-9]+' out || fail 'version'
expect 2 moeparity
[ ! -s out ] || fail 'help that nobody asked for on stdout'
refused 2 "unknown command 'frobnicate'" moeparity frobnicate
expect 2 moeparity compare one
expect 2 moeparity compare one two three
expect 2 moeparity inspect
expect 2 moeparity run --model seed-mini
expect 2 moeparity golden

# help is asked for in many ways
for ask in '-h' 'help'; do
    expect 0 moeparity $ask
    has out '^Usage: moeparity COMMAND'
done
expect 0 moeparity spec --help
cp out spec.help
for ask in 'spec -h' 'spec -?' 'help spec'; do
    expect 0 moeparity $ask
    cmp -s out spec.help || fail "$ask is not spec --help"
done
refused 2 "unknown command 'verfy', is it 'verify'\\?" moeparity verfy
refused 2 "unknown command 'verfy', is it 'verify'\\?" moeparity help verfy

# what a command takes where it is not told is said
expect 0 moeparity plan --gpus 2
has err '^moeparity: no model is named: that of seed-30b$'
expect 0 moeparity plan seed-mini --gpus 2
[ ! -s err ] || fail 'a model was named'
expect 0 moeparity plan seed-32-stage --emit megatron
has err 'no model is named'
expect 0 moeparity plan tp=2
has out '^plan       tp=2 for seed-30b$'

# model files: all that is missing at once, and the nearest field
moeparity spec seed-mini --yaml >mini.yaml
grep -v '^heads:\|^experts:\|theta' mini.yaml >less.yaml
refused 3 'less.yaml: heads, experts, rope.theta: missing' moeparity spec less.yaml
sed 's/^hidden:/hidden_size:/' mini.yaml >other.yaml
refused 3 "other.yaml:4:1: hidden_size: unknown field, is it 'hidden'\\?" moeparity spec other.yaml
sed 's/^hidden:/wxyz:/' mini.yaml >other.yaml
refused 3 'other.yaml:4:1: wxyz: unknown field$' moeparity spec other.yaml

# a verdict has a colour on a terminal alone, and not where it is not wanted
verify='moeparity verify shadow-a --layers 1 --plan tp=2 --batch 2x4 --numerics exact --allow-partial'
expect 0 $verify
! grep -q $'\033' out || fail 'colour in a file'
TERM=xterm script -qec "$verify" /dev/null >seen
grep -q $'^\033\[1;3[23]m[A-Z]*\033\[0m' seen || fail "no colour: $(tail -1 seen)"
TERM=xterm NO_COLOR=1 script -qec "$verify" /dev/null >seen
! grep -q $'\033\[1' seen || fail 'colour in spite of NO_COLOR'
