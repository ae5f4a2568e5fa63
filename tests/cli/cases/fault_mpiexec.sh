# A signal to mpiexec, to Hydra's process that starts the ranks, or to the launcher, in the middle of a run: one line, and nothing is left (the
# runner looks); what a killed launcher leaves is swept by the next run.
parent() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f2; }
held_run()
{
    hold "$1" "$2" moeparity verify shadow-a --plan tp=2,pp=3,dp=2,ep=4 --batch 60x16 --json report.json
    proxy=$(parent "$held")
    mpiexec=$(parent "$proxy")
    [ "$(parent "$mpiexec")" = $run ] || fail "mpiexec $mpiexec is not started by $run"
}
for signal in KILL TERM HUP; do
    held_run 3 layers.2.attn_out
    kill "-$signal" "$mpiexec"
    ended 5
    one_error 5 '(died|mpiexec ended)'
done
held_run 0 start
kill -KILL "$proxy"
ended 5
one_error 5 '(died|mpiexec ended)'
held_run 5 verdict
kill -HUP $run
ended 129
has err '^moeparity: interrupted by signal 1$'

# An mpiexec that is stopped does not keep a run from ending.
held_run 2 layers.0.attn_out
kill -STOP "$mpiexec"
kill -KILL "$held"
ended 5
has err "^moeparity: rank 2 \\(pid $held\\) died"

# A launcher that was stopped goes on.
expect 0 moeparity verify shadow-a --plan tp=2 --numerics exact
calm out >before
moeparity verify shadow-a --plan tp=2 --numerics exact >out 2>err &
run=$!
kill -STOP $run
kill -CONT $run
wait $run || fail 'stopped for a while'
calm out | cmp -s - before || fail 'another report after a stop'
rm before

# Killed: its ranks go with it, its folder goes with the next run (of another minute).
held_run 1 layers.1.attn_out
kill -KILL $run
wait $run 2>/dev/null
while kill -0 "$held" 2>/dev/null; do sleep 0.05; done
left=$(echo "$MOEPARITY_RUN_DIR"/moeparity-run-*)
[ -d "$left" ] || fail 'no folder was left: nothing to sweep'
touch -d '2 minutes ago' "$left"
expect 0 moeparity verify shadow-a --plan tp=2 --numerics exact
[ ! -e "$left" ] || fail 'the folder of a killed launcher is still there'
