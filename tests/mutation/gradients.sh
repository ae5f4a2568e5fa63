# What a forward pass cannot see: `verify --grad` must find each of these, and name first what the bug is about.
declare -A healthy=()
n=0
while IFS='|' read -r stem model plan options expected says mechanism <&3; do
    # shellcheck disable=SC2206 # options are several words
    run=(verify "$model" --plan "$plan" $options --numerics exact --grad --allow-partial)
    [ -n "${healthy["$model $plan"]-}" ] || expect 0 moeparity "${run[@]}"
    healthy["$model $plan"]=yes
    expect 1 "mutant_$stem" "${run[@]}"
    has out "^DIFFERS +$expected differs" # first, in the order in which gradients are made
    has out "$says"
    n=$((n + 1))
done 3<"$GRADIENTS_MANIFEST"
[ $n -ge 15 ] || fail "only $n mutants"
echo "$n of $n killed and located"
