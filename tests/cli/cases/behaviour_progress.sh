# --events tells how far the run is: it names the step, in the order of the run,
# and never goes back, though some steps turn out not to be needed.
expect 0 moeparity verify shadow-a --plan tp=2,pp=2,mb=2 --numerics exact,fp32 --events lines
sed -n 's/^{"progress":\([0-9.]*\),"step":"\(.*\)","seconds":\([0-9.]*\),"left_seconds":\([0-9.]*\)}$/\1|\2|\3|\4/p' \
    lines >progress
[ "$(grep -c '^{"progress"' lines)" = "$(wc -l <progress)" ] || fail 'a line of another shape'
awk -F'|' '$1 < before || $1 > 1 || $3 < second { exit 1 } { before = $1; second = $3 }' progress ||
    fail "it goes back: $(cat progress)"
awk -F'|' 'END { exit !($1 > 0.5) }' progress || fail "it never comes far: $(tail -n 1 progress)"
cut -d'|' -f2 progress | uniq >steps
printf '%s\n' 'exact: reference' 'exact: free pass' 'exact: free pass of the exercise' \
    'fp32: reference' 'fp32: forced pass' 'fp32: forced-routing pass' | diff steps - ||
    fail 'other steps, or in another order'

# Two plans: the second begins where the first has ended.
expect 0 moeparity verify shadow-a --plan tp=2 --plan dp=2 --numerics exact --events lines
last=$(sed -n 's/^{"progress":\([0-9.]*\),.*/\1/p' lines.1 | tail -n 1)
first=$(sed -n 's/^{"progress":\([0-9.]*\),.*/\1/p' lines.2 | head -n 1)
awk -v a="$last" -v b="$first" 'BEGIN { exit !(a > 0 && b >= a) }' || fail "$first after $last"
