# What a run does, from its events: the figures are those of its report, whatever
# the plan repeats, and they can be had while it runs.
sample() # NAME LABELS: of what they match, the sum
{
    awk -v name="moeparity_$1{" -v labels="$2" 'index($0, name) == 1 && $0 ~ labels { sum += $NF } END { print sum + 0 }' metrics
}
for plan in tp=2,ep=2,mb=3,overlap=dispatch tp=2,dp=2,ep=2,etp=2,mb=2 tp=2,pp=2,ep=4,scope=replica,mb=3 \
    cp=2,sp=1,tp=2,ep=2; do
    verified shadow-a --plan $plan --batch 6x16 --numerics exact,fp32 --events lines --json report.json
    expect 0 moeparity top lines --openmetrics metrics
    grep -q "^exact     free pass  .* 96 " out || fail "$plan: $(cat out)"
    for pass in 'exact",pass="free pass"' 'fp32",pass="forced pass"'; do
        [ "$(sample tokens_total "numerics=\"$pass")" = 96 ] || fail "$plan, $pass: $(grep tokens_total metrics)"
    done
    free='numerics="exact",pass="free pass"'
    [ "$(sample choices_total "$free") $(sample dropped_choices_total "$free")" = \
        "$(jq -r '.plans[0].cases[0].emulation | "\(.choices) \(.dropped)"' report.json)" ] || fail "$plan: choices"
    [ "$(sample expert_rows_total "$free")" = "$(jq '.plans[0].cases[0].emulation.sent' report.json)" ] || fail "$plan: rows"
    [ "$(sample expert_rows_total "$free.*expert=\"$(jq '.plans[0].cases[0].routing.busiest_expert' report.json)\"")" -gt 0 ] ||
        fail "$plan: no rows of the busiest expert"
    for kind in all-to-all reduce-scatter send; do # verify's own sums are reductions and gatherings
        [ "$(sample sent_bytes_total "$free,kind=\"$kind\"")" = "$(jq ".plans[0].cases[0].emulation.bytes[\"$kind\"]" report.json)" ] ||
            fail "$plan: bytes of $kind"
    done
    awk -v s="$(sample load_balance_ratio "$free")" 'BEGIN { exit !(s > 0 && s <= 1) }' || fail "$plan: balance"
    # OpenMetrics: samples stand behind the type of their family, once, and the end is said
    awk '/^# TYPE / { family = $3; if (seen[family]++) exit 1 }
         /^moeparity_/ && index($0, family) != 1 { exit 1 }
         { last = $0 } END { exit last != "# EOF" }' metrics || fail "$plan: $(head -50 metrics)"
done

# passes between which experts move: each is one of its own, its balance is the report's, and rows are those of logical experts
expect 0 moeparity verify shadow-a --plan dp=4,ep=4 --batch 9x11 --layers 1 --passes 3 --slots 7 --drift 1 --set capacity.rule=none --events lines --json report.json
expect 0 moeparity top lines --openmetrics metrics
for i in 0 1 2; do
    has out "^exact     free pass $((i + 1))  .* 99 "
    pass="pass=\"free pass $((i + 1))\""
    jq -e --argjson i $i --argjson top "$(sample load_balance_ratio "$pass")" \
        '.plans[0].cases[$i].dealt.balance - $top | fabs < 1e-5' report.json >/dev/null || fail "balance of pass $i: $(grep ratio metrics)"
    [ "$(sample expert_rows_total "$pass.*expert=\"$(jq ".plans[0].cases[$i].routing.busiest_expert" report.json)\"")" = \
        "$(jq ".plans[0].cases[$i].routing.busiest_rows" report.json)" ] || fail "rows of the busiest expert of pass $i"
done

# while it runs
moeparity verify shadow-a --plan tp=2,dp=2 --batch 8x32 --numerics exact --events live >run.out 2>&1 &
run=$!
until ls live* >/dev/null 2>&1; do kill -0 $run || break; done
expect 0 moeparity top live --follow --openmetrics metrics
wait $run || fail "$(cat run.out)"
[ "$(sample tokens_total 'pass="free pass"')" = 256 ] || fail "followed: $(grep tokens_total metrics)"
[ "$(ls live*)" = live ] || fail "left: $(ls live*)"

# ... and a run that ends without its events
hold 1 layers.3.attn_out moeparity verify shadow-a --plan tp=2,mb=2 --numerics exact --events lost
moeparity top lost --follow --openmetrics lost.metrics >top.out 2>top.err &
top=$!
until grep -qs '^moeparity_progress_ratio' lost.metrics; do kill -0 $top || fail "$(cat top.err)"; done
kill -9 "$held"
wait $run
[ $? = 5 ] || fail "$(cat err)"
wait $top
[ $? = 6 ] || fail "followed to its end: $(cat top.err)"
grep -q '^moeparity: lost: the run ended without it$' top.err || fail "$(cat top.err)"

# what is no such file
refused 3 'none: No such file' moeparity top none
refused 3 'none: No such file' moeparity top none --follow
head -c -1 lines >cut
refused 3 'cut:[0-9]*: expected the end of the line' moeparity top cut
wrong() # EDIT MESSAGE: of a line that is right
{
    grep '"rank":1' lines | head -n 1 | sed "$1" >edited
    refused 3 "edited:1: $2" moeparity top edited
}
grep '"rank":1' lines | head -n 1 >edited
expect 0 moeparity top edited
wrong 's/"tokens":[0-9]*/"tokens":-1/' 'tokens: expected a whole number from 0 to 2.40, found -1'
wrong 's/"rank":1/"rank":77/' 'rank: expected one of the 4'
wrong 's/"plan":"[^"]*"/"plan":"x.yaml"/' 'plan: expected the keys of a plan'
wrong 's/"expert_rows":\[/"expert_rows":[1,/' 'expert_rows: expected some for each'
wrong 's/"bytes":{/"bytes":{"carrots":1,/' 'bytes: expected a kind of transfer, found carrots'
wrong 's/"at":[0-9.]*/"at":"x"/' 'at: expected a number from 0'
wrong 's/"pass"/"past"/' 'pass: expected a short text, found none'
expect 2 moeparity top
has err '^moeparity top: expected the file that verify --events names$'
