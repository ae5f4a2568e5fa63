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
