# The reports for machines: JSON that says what the text says.
verified shadow-a --plan tp=2,pp=2,mb=2 --plan dp=2,ep=2 --json report.json --events events
jq -e '.schema == "moeparity.verify/1" and .verdict == "VERIFIED" and .exit == 0
       and .model.name == "shadow-a" and .model.layers == 7 and .seed == 1
       and (.plans | length) == 2 and .plans[0].world == 4 and .plans[1].world == 2
       and ([.plans[].cases[].numerics] == ["exact", "fp32", "exact", "fp32"])
       and all(.plans[].cases[]; .verdict == "PASS" and .conserved and .telling
               and .emulation.dropped == .routing.dropped
               and .emulation.sent == .routing.choices - .routing.dropped
               and all(.passes[]; .failed_taps == 0 and (.exercise or .elements > 100000)))
       and all(.plans[].cases[].routing; .ties > 0 and .dropped > 0)' \
    report.json >/dev/null || fail "report.json: $(jq -c . report.json)"
text=$(count out 'exact ties')
[ "$text" = "$(jq '[.plans[].cases[].routing.ties] | add' report.json)" ] ||
    fail "text says $text ties"

# every line of events is an object, of progress or of a tick, and the ticks of a rank rise in every pass
for file in events.1 events.2; do
    jq -e -s 'map(select(has("progress") | not)) | length > 0 and all(group_by([.numerics, .pass, .rank])[];
              [.[] | [.round, .tick]] | . == (sort | unique))
              and all(.tokens >= 0 and .seconds >= 0 and (.expert_rows | type) == "array")' \
        $file >/dev/null || fail "$file: $(cat $file)"
done
[ ! -e events ] || fail 'events without a number'

# compare: the same, and different
taps=$SELF/shadow-a/exact.safetensors
expect 0 moeparity compare "$taps" "$taps" --json same.json
jq -e '.schema == "moeparity.compare/1" and .verdict == "SAME" and .exit == 0
       and .first == null and (.taps | length) > 10' same.json >/dev/null || fail 'same.json'
cp "$taps" other.st && chmod u+w other.st
flip other.st p0.layers.2.out 3 128
expect 1 moeparity compare "$taps" other.st --json other.json
jq -e '.verdict == "DIFFERS" and .exit == 1 and .first.tap == "p0.layers.2.out"
       and .first.row == 0 and .first.column == 0' other.json >/dev/null ||
    fail "other.json: $(jq -c .first other.json)"
