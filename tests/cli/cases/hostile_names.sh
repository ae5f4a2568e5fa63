# Names in files that a terminal, a page or a report would obey: whatever reads
# them, and however it ends, none of that comes through.
hostile=$DATA/../cli/hostile.py
export TINY=$ORACLE/mixtral/tiny/config.json BUNDLE=$SELF/shadow-b
python3 "$hostile" make in || fail 'no inputs'
mkdir outs
n=0
try() # COMMAND...: what it prints is kept, whatever its exit code, which is no crash
{
    n=$((n + 1))
    timeout 60 moeparity "$@" >outs/$n.out 2>outs/$n.err
    local code=$?
    [ $code -lt 5 ] || [ $code = 6 ] || fail "exit $code: $*"
}
for file in in/*.safetensors; do
    try inspect "$file"
    try compare "$SELF/shadow-b" "$file" --json outs/$n.json --junit outs/$n.xml --html outs/$n.html
done
try compare in/tensors.safetensors in/tensors.safetensors --json outs/$n.plain.json
try inspect in/checkpoint
try inspect in/missing
for folder in in/config_*; do
    try spec "$folder"
    try spec "$folder" --yaml
done
for file in in/spec_*.yaml; do try spec "$file"; done
for file in in/machine_*.yaml; do try predict shadow-a --plan tp=2 --machine "$file"; done
for file in in/claims_*.yaml; do try audit "$file"; done
for file in in/map_*.yaml; do try compare "$SELF/shadow-b" in/tensors.safetensors --map "$file"; done
for file in in/plan_*.yaml; do try plan "$file"; done
for file in in/require_*.yaml; do try predict shadow-a --plan tp=2 --machine gpu-400t-64g --require "$file"; done
try plan --model shadow-a --import in/line.sh
for file in in/events_*; do try top "$file" --openmetrics outs/$n.prom.out; done
try perf score --machine gpu-400t-64g --kind gemm --table in/table.csv
try golden check in/bundle
try golden check in/bundle_argument
HYDRA_HOST_FILE=in/hosts try verify shadow-a --plan tp=2
try report shadow-a --plan tp=2 --machine gpu-400t-64g --verify in/verdicts.json -o outs/page.html
[ $n -gt 60 ] || fail "only $n commands"
python3 "$hostile" scan outs/* || fail 'came through'
grep -q 'x1B' outs/*.out || fail 'no such name was shown at all'
printf 'a\033b' >raw.err
! python3 "$hostile" scan raw.err >/dev/null || fail 'the scan sees nothing'
