# moeparity calibrate: a machine file that everything takes, and its check.

expect 2 moeparity calibrate --out a.yaml --check b.yaml
expect 2 moeparity calibrate --json a.json
# where the measurements would go is asked before they are made
expect 2 moeparity calibrate --quick
has err '^moeparity calibrate: --out FILE is needed'
[ ! -s out ] || fail 'something was measured'
refused 3 'none.yaml: No such file' moeparity calibrate --check none.yaml
refused 3 'a100-sxm: operators: expected the rates that moeparity calibrate writes' moeparity calibrate --check a100-sxm

expect 2 moeparity calibrate --stage elsewhere
expect 2 mpiexec -n 2 moeparity calibrate --quick --out cpu.yaml
has err '^moeparity: calibrate starts its ranks itself: expected no mpiexec$'

# what cannot be written is refused before anything is measured: no rank is started
export MOEPARITY_MPIEXEC=/nowhere/mpiexec
refused 3 'nowhere/cpu.yaml: cannot be written: No such file' moeparity calibrate --out nowhere/cpu.yaml
refused 3 "'': no name of a file" moeparity calibrate --out ''
mkdir folder
refused 3 'folder: cannot be written: Is a directory' moeparity calibrate --out folder
refused 3 "mpiexec '/nowhere/mpiexec' cannot be started" moeparity calibrate --out cpu.yaml
unset MOEPARITY_MPIEXEC
[ ! -e nowhere ] && [ ! -e cpu.yaml ] || fail "a refusal made something"

# a run interrupted in its second stage leaves the file that was there, and no run folder
mkdir run
echo old >kept.yaml
MOEPARITY_RUN_DIR=$PWD/run hold 0 collectives moeparity calibrate --quick --out kept.yaml
kill -INT $run
wait $run
[ $? = 130 ] || fail "exit of an interrupted run"
has err '^moeparity: interrupted by signal 2$'
[ "$(cat kept.yaml)" = old ] && [ ! -s out ] || fail 'something of an interrupted run'
[ -z "$(ls run)" ] || fail "left: $(ls run)"

expect 0 moeparity calibrate --quick --out cpu.yaml
has out '^  products f64 +[0-9.]+ GFLOP/s at best$'
has out '^  start-up +[0-9.]+ s for 1 rank, [0-9.]+ s for 8$'
has out '^  operators +median +[0-9.]+ %   p90 +[0-9.]+ %   of [0-9]+$'
has out '^calibrated cpu.yaml$'
for word in '^machine: this-cpu$' '^# versions: moeparity ' '^# noise of operators: median' \
    'measured 20[0-9-]+T' '^samples:' '^  - \[start-up, 8, ' '^  - \[all-reduce, f64, 4, 2097152, ' \
    '^  - \[gemm, f32, 64, 64, 64, ' '^  - \[attention, f64, ' '^  - \[bandwidth, memory, '; do
    has cpu.yaml "$word"
done
ls -- *.partial* 2>/dev/null && fail "a partial file was left"

# other commands take it
expect 0 moeparity predict seed-mini --plan seed-32 --machine cpu.yaml --dtype fp32 --batch 16x32 --json p.json
jq -e '.figures.latency_ms.value > 0' p.json >jq.out || fail "no latency on this machine"

# records and communicator agree about every element, on every plan
expect 0 moeparity calibrate --quick --check cpu.yaml --json check.json
jq -e '(.plans | length) >= 7 and all(.plans[]; .elements_predicted == .elements_sent and .predicted_s > 0 and .measured_s > 0)' \
    check.json >jq.out || fail "plans of check.json"
jq -e '.operators_drift > 0.1 and .plans_drift > 0.1 and .all.n > 100 and all(.operators[]; .n > 0)' check.json >jq.out || fail "operators of check.json"
MOEPARITY_MPIEXEC=/nowhere/mpiexec refused 3 'nowhere/c.json: cannot be written' \
    moeparity calibrate --check cpu.yaml --json nowhere/c.json

# a file that lost a number is refused
sed 's/^  f64: \[[^,]*, /  f64: [/' cpu.yaml >short.yaml
refused 3 'products.f64: expected 1100 rates, found 1099' moeparity calibrate --check short.yaml
