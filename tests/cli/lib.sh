# tests/cli/lib.sh: what the cases share.  A case ends at its first failure.

fail()
{
    echo "FAILED: $*" >&2
    for file in out err; do
        [ ! -f $file ] || sed "s/^/  $file: /" $file | head -30 >&2
    done
    exit 1
}

# expect CODE COMMAND...: run it, stdout to ./out, stderr to ./err
expect()
{
    local code
    "${@:2}" >out 2>err
    code=$?
    [ $code = "$1" ] || fail "exit $code, expected $1: ${*:2}"
}

# has FILE REGEX: a line of the file matches
has()
{
    grep -Eq -- "$2" "$1" || fail "expected a line /$2/ in $1"
}

# refused CODE REGEX COMMAND...: nothing on stdout, one line on stderr
refused()
{
    expect "$1" "${@:3}"
    [ ! -s out ] || fail "stdout of a refusal: ${*:3}"
    [ "$(wc -l <err)" = 1 ] || fail "expected one line on stderr: ${*:3}"
    has err "^moeparity: .*$2"
}

# one_error CODE REGEX: so the last run ended, its exit code being $code: no
# report, and one line beside the estimate
one_error()
{
    [ "$code" = "$1" ] || fail "exit $code, expected $1"
    [ ! -s out ] || fail 'a report of a run that failed'
    [ "$(grep -vc '^moeparity: about [0-9]' err)" = 1 ] || fail 'not one line'
    has err "^moeparity: .*$2"
}

# calm FILE: a report without what differs from run to run, times and memory
calm()
{
    sed -E '/^time |^  (memory|reference|emulation) |processor seconds|largest rank held/d' "$1"
}

# hold RANK POINT COMMAND...: run it in the background, as process $run, with a
# rank that waits there for its end, as process $held.  (A shell starts
# background jobs with SIGINT ignored: env puts it back.)
hold()
{
    rm -f out err
    mkfifo fifo
    MOEPARITY_HOLD="$1 $2 $PWD/fifo" env --default-signal=INT "${@:3}" \
        >out 2>err &
    run=$!
    exec 3<>fifo
    held=
    until read -t 1 -r part <&3; do
        held+=$part # on a busy machine a second may end within the number
        kill -0 $run || fail "the run is over, and rank $1 never came to $2"
    done
    held+=$part
    exec 3<&-
    rm fifo
}

# ended CODE: the run that had a rank held ends so, and leaves no other files
ended()
{
    wait $run
    code=$?
    [ $code = "$1" ] || fail "exit $code, expected $1"
    [ ! -s out ] || fail 'a report of a run that was ended'
    [ "$(ls)" = "$(printf 'err\nout')" ] || fail "files: $(ls)"
}

# verified ARGS...: moeparity verify, both numerics, report in ./out
verified()
{
    expect 0 moeparity verify "$@"
    has out '^exact      PASS'
    has out 'bit for bit, free pass$'
    has out '^fp32       PASS'
    has out '^VERIFIED   bit-identical, and fp32 within bounds$'
}

# partly LEFT ARGS...: the same where the batch leaves something undone
partly()
{
    expect 6 moeparity verify "${@:2}"
    has out '^exact      PARTIAL'
    has out '^fp32       PARTIAL'
    has out "^PARTIAL    right where it ran: $1 \(exact\)$"
}

# count FILE WORD: the sum of the numbers before WORD in the routing lines
count()
{
    grep '^  routing' "$1" | grep -Eo "[0-9]+ $2" | awk '{n += $1} END {print n + 0}'
}

# every_shadow_plan MODEL: those of tests/support/shadow_plans.c: uneven stages,
# ranks without a token, experts over capacity, exact ties
every_shadow_plan()
{
    local model name plan batch left word n=0
    shadow_plan_list | grep "^$1 " >plans
    while read -r model name plan batch left <&3; do
        if [ -z "$left" ]; then
            verified "$model" --plan "$plan" --batch "$batch"
        else
            partly "$left" "$model" --plan "$plan" --batch "$batch"
        fi
        for word in dropped 'exact ties' 'of [0-9]+ experts not chosen'; do
            [ "$(count out "$word")" -gt 0 ] || fail "$name: no $word"
        done
        has out '^  checks     coverage ok, replicas ok, conservation ok .* vacuity ok$'
        n=$((n + 1))
    done 3<plans
    [ $n -ge 6 ] || fail "only $n plans"
}

# header FILE: the JSON header of a safetensors file
header()
{
    head -c $((8 + $(od -An -t u8 -N 8 "$1"))) "$1" | tail -c +9
}

# flip FILE TENSOR BYTE MASK: exclusive or of one byte of a tensor's data
flip()
{
    local start byte
    start=$(header "$1" | jq -e ".[\"$2\"].data_offsets[0]") || fail "no $2 in $1"
    start=$((8 + $(od -An -t u8 -N 8 "$1") + start + $3))
    byte=$(od -An -t u1 -j $start -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ $4)))" |
        dd of="$1" bs=1 seek=$start conv=notrunc status=none
}

# edit FILE FROM TO: replace what matches in a safetensors header by as many bytes
edit()
{
    local before
    before=$(cksum <"$1")
    LC_ALL=C sed -i "1s/$2/$3/" "$1"
    [ "$before" != "$(cksum <"$1")" ] || fail "edit: no $2 in $1"
    [ "${before##* }" = "$(wc -c <"$1")" ] || fail "edit: $1 has another length"
}

# copy_case FOLDER: a checkpoint that may be changed, in ./case
copy_case()
{
    rm -rf case
    cp -r "$1" case
    chmod -R u+w case
}

# with_numpy SCRIPT ARGS...: run a Python script; Debian's NumPy belongs to
# Debian's Python, which need not be the first on the path
with_numpy()
{
    local python
    for python in /usr/bin/python3 python3; do
        ! "$python" -c 'import numpy' 2>err || break
    done
    "$python" -B "$@" >out 2>err || fail "python $*"
}

# reader COMMAND ARGS...: golden_reader.py
reader()
{
    with_numpy "$DATA/../cli/golden_reader.py" "$@"
}

# edit_json FILE FILTER: a manifest changed by a jq filter
edit_json()
{
    jq "$2" "$1" >edited || fail "jq $2"
    ! cmp -s edited "$1" || fail "$2 changes nothing in $1"
    mv edited "$1"
}

# foreign COMMAND...: goldens and dumps made with NumPy, see foreign.py
foreign()
{
    with_numpy "$DATA/../cli/foreign.py" "$@"
}

# first_legal MODEL PLAN...: prints the first plan that the model can be split by.
first_legal()
{
    local model=$1 plan
    shift
    for plan; do
        if moeparity plan --model "$model" "$plan" >/dev/null 2>&1; then
            echo "$plan"
            return
        fi
    done
    fail "$model: no legal plan among $*"
}
