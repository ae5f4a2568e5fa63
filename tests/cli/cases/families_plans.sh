# Every key that docs/families.md gives a family is verified on one of its cases,
# in three numerics; of a family without one, on a config.json alone.
moeparity spec --families >table || fail 'no table'
declare -A keys met
while IFS='|' read -r _ types _ _ _ plans _; do
    [[ $types != *model_type* && $types != *---* ]] || continue
    for type in $types; do
        keys[$type]=$plans
    done
done < <(sed '/^$/q' table | grep '^|')
[ ${#keys[@]} -ge 44 ] || fail "only ${#keys[@]} families"

# keys_of PLAN: the keys that it has
keys_of()
{
    tr , '\n' <<<"$1" | sed 's/=[0-9]*$//'
}

# is_covered TYPE: every key of the family was met
is_covered()
{
    local key
    for key in ${keys[$1]}; do
        [[ " ${met[$1]-} " == *" $key "* ]] || return 1
    done
}

for folder in "$ORACLE"/*/*/ "$DATA/kimi_k3/"; do
    [[ $folder != */formats/* ]] || continue
    expect 0 moeparity spec "$folder"
    type=$(sed -n 's/^read as    \([^ ,]*\).*/\1/p' out)
    type=${type:-$(sed -n 's/^model      \([^ ]*\).*/\1/p' out)}
    [[ $folder != */switch_layer/* ]] || type=switch_transformers
    [ -n "${keys[$type]-}" ] || type=${type}_text # the family's name, without that
    [ -n "${keys[$type]-}" ] || fail "$folder: no row for $type"
    ! is_covered "$type" || continue
    a=$(first_legal "$folder" tp=2,ep=2,mb=2 tp=3,ep=3,mb=2 dp=2,ep=2,mb=2)
    b=$(first_legal "$folder" dp=2,pp=2,etp=2,mb=2 dp=2,etp=2,mb=2)
    c=$(first_legal "$folder" tp=2,pp=2,ep=2,etp=2,scope=replica tp=3,pp=2,ep=3,etp=2,scope=replica \
        tp=2,ep=2,scope=replica pp=2,ep=2,scope=replica)
    expect 0 moeparity verify "$folder" --plan "$a" --plan "$b" --plan "$c" --numerics exact,fp32,bf16
    has out '^VERIFIED   bit-identical, and fp32 and bf16 within bounds'
    met[$type]+=" $(keys_of "$a,$b,$c" | tr '\n' ' ')"
done
for type in "${!keys[@]}"; do
    # names of one model_type's row share their cases
    row=$(grep "^| [^|]*\b$type\b[^|]* |" table | head -1 | cut -d'|' -f2)
    covered=false
    for other in $row; do
        ! is_covered "$other" || covered=true
    done
    $covered || fail "$type: keys ${keys[$type]}, met ${met[$type]-none}"
done
