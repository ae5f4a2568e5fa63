# Dumps of published releases with bugs (tests/data/bugs, by scripts/frameworks
# --bugs --dumps): each fails where its release went wrong, and the dump of the
# release that mended it passes.
n=0
while read -r bug model batch tap; do
    golden=$DATA/bugs/$bug/golden
    [ -d "$golden" ] || golden=$DATA/dumps/$model/golden
    if [ -f "$ORACLE/$model/config.json" ]; then
        golden=$bug
        expect 0 moeparity golden make --model "$ORACLE/$model" --tokens "$batch" \
            --numerics fp32 --out "$golden"
    fi
    map=
    [ ! -f "$DATA/bugs/$bug/map.yaml" ] || map="--map $DATA/bugs/$bug/map.yaml"
    expect 1 moeparity compare "$golden" "$DATA/bugs/$bug/wrong" $map --json out.json
    jq -e --arg tap "p0.$tap" '.first.tap == $tap' out.json >/dev/null ||
        fail "$bug: expected p0.$tap, found $(jq .first.tap out.json)"
    expect 0 moeparity compare "$golden" "$DATA/bugs/$bug/mended" $map
    has out '^PASS '
    n=$((n + 1))
done <"$DATA/bugs/list"
[ $n -ge 18 ] || fail "only $n bugs"
