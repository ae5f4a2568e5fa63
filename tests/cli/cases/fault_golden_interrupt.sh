# SIGINT, SIGTERM and the end of the computing process: nothing half made is
# left, and what was there before stays.
interrupt() # SIGNAL CODE WHO
{
    rm -f out err
    env --default-signal=INT moeparity golden make --model seed-30b --layers 1 \
        --tokens 1x64 --force --out "$4" >out 2>err &
    local guard=$! victim
    for _ in $(seq 300); do # until it has begun
        ! ls -d "$4".partial-* >/dev/null 2>&1 || break
        sleep 0.1
    done
    ls -d "$4".partial-* >/dev/null || fail 'it never began'
    victim=$guard
    [ "$3" = guard ] || victim=$(pgrep -P $guard)
    kill "-$1" "$victim"
    wait $guard
    code=$?
    [ $code = "$2" ] || fail "exit $code after SIG$1 to the $3"
    [ ! -s out ] || fail 'a report of an interrupted run'
    [ -z "$(ls -d "$4".partial-* "$4".old-* 2>/dev/null)" ] || fail "left: $(ls)"
}
interrupt INT 130 guard new
has err '^moeparity: interrupted by signal 2$'
interrupt TERM 143 guard new
has err '^moeparity: interrupted by signal 15$'
interrupt KILL 4 worker new
has err '^moeparity: the process that computes was ended by signal 9 .*memory'
[ ! -e new ] || fail 'a bundle of an interrupted run'

expect 0 moeparity golden make --model shadow-b --tokens 2x5 --out old
cp -r old before
interrupt INT 130 guard old
expect 0 diff -r old before

# A file that one process writes by itself.
moeparity run --model seed-30b --layers 1 --batch 1x600 --out taps.st &
run=$!
for _ in $(seq 300); do
    ! ls taps.st.partial-* >/dev/null 2>&1 || break
    sleep 0.1
done
ls taps.st.partial-* >/dev/null || fail 'it never began'
kill -TERM $run
code=0
wait $run || code=$?
[ $code = 143 ] || fail "exit $code after SIGTERM"
[ -z "$(ls taps.st* 2>/dev/null)" ] || fail "left: $(ls)"
