# VERIFIED means that everything took part; what did not is counted and named.
plan=tp=2,dp=4,ep=2
expect 6 moeparity verify seed-mini --batch 1x8 --plan $plan --numerics exact --json v.json
has out '^exact      PARTIAL'
has out '^  took part  213 of 4096 experts on their owners, 1 of 4 replicas, 1 of 4 token groups, 656 of 9112 weight rectangles$'
has out '^    idle       layers\.0 expert [0-9]+ on rank [0-9]+, .*\.\.\.$'
has out '^    unmet      embed on rank 2, .*\.\.\.$'
has out '^PARTIAL    right where it ran: 3883 of 4096 experts on their owners idle, 3 of 4 replicas empty, 8456 of 9112 weight rectangles unmet \(exact\)$'
jq -e '.verdict == "PARTIAL" and .exit == 6 and .first == null
       and (.plans[0].cases[0].took_part | .experts == 4096 and .experts_idle == 3883
            and .replicas_empty == 3 and .token_groups_empty == 3
            and .weight_rectangles_unmet == 8456
            and (.idle | length) == 4 and .idle[0].layer == 0
            and (.unmet[0] == {"weight": "embed", "rank": 2}))' v.json >/dev/null || fail 'PARTIAL in JSON'
expect 0 moeparity verify seed-mini --batch 1x8 --plan $plan --numerics exact --allow-partial --json v.json
has out '^PARTIAL '
jq -e '.verdict == "PARTIAL" and .exit == 0' v.json >/dev/null || fail 'allowed, in JSON'

# the default batch, whatever the numerics; what took part in one counts in the next
for numerics in exact fp32 exact,fp32; do
    expect 0 moeparity verify seed-mini --layers 2 --plan $plan --numerics $numerics --json v.json
    has out '^  took part  512 of 512 experts on their owners, 4 of 4 replicas, '
    jq -e '[.plans[].cases[].passes[] | select(.exercise)] | length == 1' v.json >/dev/null ||
        fail "$numerics: not one exercise"
    jq -e 'all(.plans[].cases[]; .took_part.experts_idle == 0
               and .took_part.weight_rectangles_unmet == 0 and .took_part.idle == [])' \
        v.json >/dev/null || fail "$numerics: something idle"
done
has out 'bit for bit, free pass of the exercise \(batch 8x[0-9]+, routing dealt\)$'
# one of many plans does not speak for the others
expect 6 moeparity verify seed-mini --layers 2 --plan tp=2 --plan $plan --batch 4x8 --numerics exact --json v.json
jq -e '[.plans[].cases[].verdict] == ["PARTIAL", "PARTIAL"]
       and (.plans[0].cases[0].took_part.experts_idle < .plans[1].cases[0].took_part.experts_idle)' \
    v.json >/dev/null || fail 'two plans'
