# A report that cannot be written is an error, whoever writes it and however early it fails.
unwritten() # ARGS...
{
    moeparity "$@" >/dev/full 2>err
    [ $? = 4 ] || fail "a full disk: $*"
    has err '^moeparity: standard output cannot be written: No space left on device$'
    moeparity "$@" >&- 2>err
    [ $? = 3 ] || fail "a closed stdout: $*"
    has err '^moeparity: standard output cannot be written: Bad file descriptor$'
}
unwritten --help
unwritten --version
unwritten spec seed-mini
unwritten spec seed-mini --yaml
unwritten plan seed-32
unwritten inspect "$DATA/safetensors/ok_minimal.safetensors"
unwritten compare "$SELF/shadow-a/exact.safetensors" "$SELF/shadow-a/exact.safetensors"
unwritten verify shadow-a --plan tp=2

# Of a golden as well, and then there is none.
golden_unwritten() # ARGS...
{
    moeparity golden "$@" >/dev/full 2>err && fail "a full disk is ignored: $*"
    has err '^moeparity: the report cannot be written'
    moeparity golden "$@" >&- 2>err && fail "a closed stdout is ignored: $*"
    has err '^moeparity: the report cannot be written'
    [ "$(ls)" = err ] || fail "left: $(ls)"
}
golden_unwritten check "$SELF/shadow-b"
golden_unwritten make --model shadow-b --tokens 2x5 --out bundle

# A file that cannot be written is found before the ranks start.
for option in --json --events; do
    refused 3 'none/file: cannot be written: No such file' \
        moeparity verify shadow-a --plan tp=2 $option none/file
done
refused 3 'none/file' moeparity verify shadow-a --plan tp=2 --json none/file

# Without stdin and stderr the report still comes.
moeparity verify shadow-a --plan tp=2 <&- 2>&- >out || fail 'closed stdin and stderr'
has out '^VERIFIED'

# Whoever stops reading ends the run, which leaves nothing (run.sh looks).
moeparity verify shadow-a --plan tp=2 --numerics exact 2>&1 | head -1 >out
has out '^moeparity: about'
