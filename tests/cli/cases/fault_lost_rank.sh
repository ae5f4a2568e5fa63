# A rank of the real command dies or stops: it is named, and nothing is left
# (the runner looks).  Several times, because a race may lose once only.
rank_pid() # RANK: its process, once there are 32 of them
{
    local environ n
    for _ in $(seq 400); do
        n=$(grep -lsz "^MOEPARITY_RUN_FOLDER=$MOEPARITY_RUN_DIR/" \
            /proc/[0-9]*/environ | xargs -r grep -lsz "^PMI_RANK=" | wc -l)
        [ "$n" -lt 32 ] || break
        sleep 0.05
    done
    for environ in $(grep -lsz "^MOEPARITY_RUN_FOLDER=$MOEPARITY_RUN_DIR/" \
                     /proc/[0-9]*/environ); do
        ! grep -qsz "^PMI_RANK=$1\$" "$environ" || basename "${environ%/environ}"
    done
}

lose() # SIGNAL RANK SECONDS REGEX
{
    moeparity verify seed-mini --plan seed-32 --batch 64x16 --stall 3 \
        --json report.json --events events >out 2>err &
    local launcher=$! pid
    pid=$(rank_pid "$2")
    sleep "$3"
    kill "-$1" "$pid" || fail "rank $2 is not there ($pid)"
    wait $launcher
    code=$?
    [ $code = 5 ] || fail "exit $code after SIG$1 of rank $2"
    has err "^moeparity: $4"
    has err "[: ]rank $2 \(pid $pid\) (died|is stopped); last seen: "
    [ "$(grep -c '^moeparity: .*last seen' err)" = 1 ] || fail 'more than one line'
    [ ! -s out ] || fail 'a report of a lost run'
    [ "$(ls)" = "$(printf 'err\nout')" ] || fail "files: $(ls)"
}

lose KILL 0 0 'rank'
lose KILL 17 0.3 'rank'
lose KILL 31 0.8 'rank'
lose SEGV 5 0.5 'rank'
lose STOP 9 0.5 'nothing has moved for 3 s: rank'

# Neither does a run leave its unfinished output.
rm -f out err
moeparity run -m seed-mini -i "$SELF/seed-mini/input.safetensors" -o taps.st \
    -p seed-32 >out 2>err &
launcher=$!
pid=$(rank_pid 4)
for _ in $(seq 100); do
    ! ls | grep -q partial || break
    sleep 0.02
done
kill -KILL "$pid"
wait $launcher
code=$?
[ $code = 5 ] || fail "exit $code of run"
has err "^moeparity: rank 4 \(pid $pid\) died"
[ "$(ls)" = "$(printf 'err\nout')" ] || fail "files: $(ls)"
