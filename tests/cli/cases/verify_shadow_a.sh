# Every plan of tests/support/shadow_plans.c on shadow-a: uneven stages, ranks
# without a token, experts over capacity, exact ties.
n=0
shadow_plan_list | grep '^shadow-a ' >plans
while read -r model name plan batch <&3; do
    verified "$model" --plan "$plan" --batch "$batch"
    for word in dropped 'exact ties' 'of [0-9]+ experts idle'; do
        [ "$(count out "$word")" -gt 0 ] || fail "$name: no $word"
    done
    has out '^  checks     coverage ok, replicas ok, conservation ok .* vacuity ok$'
    n=$((n + 1))
done 3<plans
[ $n -ge 6 ] || fail "only $n plans"
