# Plans of every whole model, verified through its grid twin.
n=0
for folder in "$ORACLE"/*/*/; do
    [[ $folder != */switch_layer/* ]] || continue
    verified "$folder" --plan dp=2,ep=2,pp=2 --plan tp=2,ep=2
    has out "checkpoint .*$(basename "$folder").* \(exact mode: its grid twin\)$"
    n=$((n + 1))
done
[ $n -ge 19 ] || fail "only $n models"
