# One case of each family of docs/families.md is verified in steps with a cache, or refused for what it is.
moeparity spec --families >table || fail 'no table'
declare -A met
n=0
for folder in "$ORACLE"/*/*/ "$DATA/kimi_k3/"; do
    [[ $folder != */formats/* ]] || continue
    expect 0 moeparity spec "$folder"
    type=$(sed -n 's/^read as    \([^ ,]*\).*/\1/p' out)
    type=${type:-$(sed -n 's/^model      \([^ ]*\).*/\1/p' out)}
    [[ $folder != */switch_layer/* ]] || type=switch_transformers
    [ -z "${met[$type]-}" ] || continue
    met[$type]=1
    if [ "$type" = switch_transformers ]; then
        expect 2 moeparity verify "$folder" --plan tp=1 --batch 3x7 --decode 9
        has err '--decode: .*: a layer alone makes no tokens'
        continue
    fi
    plan=$(first_legal "$folder" tp=2,ep=2 tp=3,ep=3 pp=2,ep=2)
    expect 0 moeparity verify "$folder" --plan "$plan" --batch 3x7 --decode 9 --chunk 3 --allow-partial
    has out '^  greedy     [0-9]+ tokens chosen on the ranks of the last stage, 0 wrong$'
    n=$((n + 1))
done
[ $n -ge 40 ] || fail "only $n families in steps"

# A row of the table has one or more names; one of them was met.
while IFS='|' read -r _ types _; do
    [[ $types != *model_type* && $types != *---* ]] || continue
    found=false
    for type in $types; do
        [ -z "${met[$type]-}${met[${type%_text}]-}" ] || found=true
    done
    $found || fail "no case of $types"
done < <(sed '/^$/q' table | grep '^|')
