# What goes wrong between two passes, while experts move: `verify --passes` must find each of these, and name layer, expert, slot and rank.
declare -A healthy=()
n=0
while IFS='|' read -r stem model plan options expected says mechanism <&3; do
    # shellcheck disable=SC2206 # options are several words
    run=(verify "$model" --plan "$plan" $options --passes 2)
    [ -n "${healthy["${run[*]}"]-}" ] || expect 0 moeparity "${run[@]}"
    healthy["${run[*]}"]=yes
    expect 1 "mutant_$stem" "${run[@]}"
    has out "^DIFFERS +$expected"
    has out "$says"
    n=$((n + 1))
done 3<"$PASSES_MANIFEST"
[ $n -ge 9 ] || fail "only $n mutants"
echo "$n of $n killed and located"
