# Plans of every Mixtral checkpoint, verified through its grid twin.
n=0
for folder in "$ORACLE"/mixtral/*/; do
    for plan in dp=2,ep=2,pp=2 tp=2,ep=2; do
        verified "$folder" --plan $plan
        has out "checkpoint .*$(basename "$folder").* \(exact mode: its grid twin\)$"
        n=$((n + 1))
    done
done
[ $n -ge 14 ] || fail "only $n runs"
