# --trace: the timeline in Chrome's format, one track per rank, ticks around operators.
verified shadow-a --plan tp=2,pp=2,ep=4,scope=replica,mb=3 --trace trace.json --events events --json report.json
[ "$(ls)" = "$(printf 'err\nevents\nout\nreport.json\ntrace.json')" ] || fail "left behind: $(ls)"

# numbers are numbers, and whoever is named is there
jq -e '.displayTimeUnit == "ms" and (.otherData.generator | startswith("moeparity"))
       and all(.traceEvents[]; (.ph == "X" or .ph == "M") and (.pid | type) == "number"
               and (.tid | type) == "number" and (.name | length) > 0)
       and all(.traceEvents[] | select(.ph == "X");
               .ts >= 0 and .dur >= 0 and (.args.tick // 0) >= 0
               and (.args.micro_batch | type) == "number")
       and [.traceEvents[] | select(.name == "process_name") | .args.name] == ["exact", "fp32"]
       and ([.traceEvents[] | select(.name == "thread_name" and .tid < 4) | [.pid, .tid, .args.name]] | sort)
           == [range(2) as $p | range(4) as $r | [$p, $r, "rank \($r)"]]' \
    trace.json >/dev/null || fail "structure: $(head -c 600 trace.json)"

# on a track, operators follow one another inside their tick; every kind is there
jq -e '[.traceEvents[] | select(.ph == "X" and .cat != "under way")] | group_by([.pid, .tid]) | length == 8 and all(.[];
         (map(select(.cat == "tick")) | sort_by(.ts)) as $ticks
         | (map(select(.cat != "tick")) | sort_by(.ts)) as $ops
         | ($ticks | map(.name)) == [range(4) | "tick \(.)"]
         and all(range(1; $ops | length); $ops[.].ts + 0.002 >= $ops[. - 1].ts + $ops[. - 1].dur)
         and all($ops[]; . as $op | $ticks[$op.args.tick]
                 | .ts - 0.002 <= $op.ts and .ts + .dur + 0.002 >= $op.ts + $op.dur))' \
    trace.json >/dev/null || fail "timeline"
for kind in gemm 'grouped gemm' attention elementwise collective; do
    jq -e --arg kind "$kind" 'any(.traceEvents[]; .cat == $kind)' trace.json >/dev/null || fail "no $kind"
done

# a rank without a micro-batch is idle: transfers and other stages' experts, no attention
jq -e '[.traceEvents[] | select(.ph == "X" and .cat != "tick" and .cat != "under way" and .args.micro_batch == -1)]
       | any(.cat == "collective") and all(.cat != "attention" and .args.tokens == 0)' \
    trace.json >/dev/null || fail "idle ticks"

# what the operators of a tick sent is what the communicator counted in it, the last sends of a round too
jq -c '[.traceEvents[] | select(.ph == "X" and .cat != "tick" and .cat != "under way")]
       | group_by([.pid, .tid, .args.tick])[]
       | [(.[0] | ["exact", "fp32"][.pid], .tid, .args.tick), (map(.args.sent // 0) | add * 8)]' trace.json | sort >sent
jq -c 'select(.pass == "free pass" or .pass == "forced pass")' events >first # passes, as in the trace
jq -c '[.numerics, .rank, .tick, ([.bytes[]] | add // 0)]' first | sort >counted
[ "$(wc -l <sent)" = 32 ] && cmp -s sent counted || fail "trace and events: $(diff sent counted | head -4)"

# and over all ranks and ticks they are the totals of the report, which has the agreements on the verdict too
jq -c '.plans[0].cases[] | .emulation.bytes | [.send, ."all-to-all"]' report.json >totals
for numerics in exact fp32; do
    jq -s -c --arg numerics $numerics '[.[] | select(.numerics == $numerics) | .bytes]
        | [map(.send // 0), map(."all-to-all" // 0)] | map(add)' first
done >summed
jq -s -e 'length == 2 and all(.[][]; . > 0)' totals >/dev/null && cmp -s totals summed ||
    fail "totals: $(cat totals), events: $(cat summed)"

# streams are under way between stages, and nothing else is where the plan has no overlap
jq -e '[.traceEvents[] | select(.cat == "under way" and .pid == 0)] | length == 2 * 2 * 3
       and all(.[]; .name | test("^(send|receive) layers"))' trace.json >/dev/null || fail "under way without overlap"

# with it: from when an exchange is begun until it is over, operators of another micro-batch run on the same rank, and a
# shared expert of its own does; a lane has one exchange at a time, there and back in each of 2 layers and 3 micro-batches
expect 0 moeparity verify shadow-a --plan tp=2,dp=2,ep=2,mb=3,overlap=dispatch+shared+p2p --batch 6x16 --layers 2 \
    --numerics exact --trace over.json --events over
jq -e '[.traceEvents[] | select(.ph == "X")] as $all | [$all[] | select(.cat == "under way")] as $ways
       | ($ways | length) == 4 * 2 * 2 * 3
       and all($ways | group_by(.tid)[] | sort_by(.ts);
               . as $track | all(range(1; length); $track[.].ts >= $track[. - 1].ts + $track[. - 1].dur - 0.002))
       and all(range(4); . as $rank
               | [$all[] | select(.tid == $rank and .cat != "tick" and .cat != "collective")] as $ops
               | [$ways[] | select(.tid % 4 == $rank) | . as $way | $ops[]
                  | select(.ts >= $way.ts and .ts + .dur <= $way.ts + $way.dur)
                  | if .args.micro_batch == $way.args.micro_batch then .name else "another" end]
               | any(. == "another") and any(startswith("mlp")))' over.json >/dev/null || fail "what overlapped"
jq -s -e '[.[] | select(.rank? == 0 and .pass == "free pass") | .micro_batches] == [[0, 1], [2]]' over >/dev/null || fail "lanes: $(head -2 over)"

# several plans, several files; run
verified shadow-a --plan tp=2 --plan ep=2,dp=2 --batch 4x7 --layers 2 --trace many
for file in many.1 many.2; do
    jq -e '.traceEvents | length > 50' $file >/dev/null || fail "$file"
done
expect 0 moeparity run --model shadow-a --batch 3x7 --layers 2 --plan tp=2 --out taps.st --trace run.json
jq -e '[.traceEvents[] | select(.name == "process_name") | .args.name] == ["shadow-a"]
       and any(.traceEvents[]; .name == "head logits")' run.json >/dev/null || fail "run.json"

# refused: before the ranks start, or where there are none; nothing is left
refused 3 'none/file: cannot be written: No such file' moeparity verify shadow-a --plan tp=2 --trace none/file
expect 2 moeparity run --model shadow-a --batch 3x7 --out no.st --trace no.json
has err '--trace needs --plan'
expect 3 moeparity run --model shadow-a --batch 3x7 --layers 2 --plan tp=2 --out no.st --trace none/file
has err 'none/file: cannot be written'
[ -z "$(ls | grep -E 'no\.|partial')" ] || fail "left behind: $(ls)"
