# SIGINT and SIGTERM to the launcher: 128 + signal, one line, nothing left.
# (A shell starts background jobs with SIGINT ignored: env puts it back.)
interrupt() # SIGNAL NUMBER SECONDS
{
    env --default-signal=INT moeparity verify seed-mini --plan seed-16 \
        --batch 64x16 --json report.json >out 2>err &
    local launcher=$!
    sleep "$3"
    kill "-$1" $launcher
    wait $launcher
    code=$?
    [ $code = $((128 + $2)) ] || fail "exit $code after SIG$1"
    has err "^moeparity: interrupted by signal $2$"
    [ ! -s out ] || fail 'a report of an interrupted run'
    [ "$(ls)" = "$(printf 'err\nout')" ] || fail "files: $(ls)"
}
interrupt INT 2 0.6
interrupt TERM 15 0.2
interrupt TERM 15 1
