# Where a file shall go may stand something else: a device or a pipe is written
# into and stays, a link stays too.  (The devices are the test's own.)
verify="moeparity verify shadow-a --plan tp=2 --numerics exact"
run="moeparity run -m shadow-a -p tp=2 -i $SELF/shadow-a/input.safetensors"

# The positive twin: what the pipes below must get.
expect 0 $verify --json plain.json --events plain.events
expect 0 $run -o plain.st

mkfifo pipe
through() # NAME COMMAND...: what the command writes to ./pipe, in ./NAME
{
    timeout 60 cat pipe >"$1" &
    expect 0 "${@:2}"
    wait $!
    [ -p pipe ] || fail "the pipe is gone after ${*:2}"
}
through got.json $verify --json pipe
[ "$(jq -S 'keys' got.json)" = "$(jq -S 'keys' plain.json)" ] || fail 'another report'
through got.events $verify --events pipe
[ "$(grep -c '"tick"' got.events)" = "$(grep -c '"tick"' plain.events)" ] || fail 'other events'
through got.trace $verify --trace pipe
jq -e .traceEvents got.trace >/dev/null || fail 'no trace'
through got.st $run -o pipe
expect 0 cmp got.st plain.st

# The file behind a link is replaced, the link stays.
mkdir elsewhere
echo old >elsewhere/report.json
ln -s elsewhere/report.json link
expect 0 $verify --json link
[ -L link ] || fail 'the link is gone'
jq -e .plans elsewhere/report.json >/dev/null || fail 'no report behind the link'
ln -s nothing dangling
refused 3 'dangling: cannot be written: a link to nothing$' $verify --json dangling

# Devices can be made by root, where a file system allows them.
if mknod null c 1 3 2>err && { : >null; } 2>err; then
    expect 0 $verify --json null --trace null
    expect 0 $verify --events null
    expect 0 $run -o null
    [ -c null ] || fail 'the device is gone'
    mknod full c 1 7
    expect 4 $verify --json full
    has err '^moeparity: full: cannot be written: No space left on device$'
    [ -c full ] || fail 'the full device is gone'
fi
