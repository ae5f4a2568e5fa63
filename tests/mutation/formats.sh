# Reference and emulation read weights by the same code, so what reads them wrongly shows only to a third witness: what transformers makes of the values
# that the publisher's package means.  A mutant that is asked for a plan is wrong on some ranks alone, and verify sees it.
cases=$ORACLE
n=0 killed=0 located=0

judge() # PROGRAM CASE PLAN OPTIONS: exit code of the comparison, report in ./out
{
    if [ "$3" = none ]; then
        expect 0 "$1" run -m "$cases/$2" -i "$cases/$2/expected.safetensors" -o taps.st
        moeparity compare "$cases/$2/expected.safetensors" taps.st >out 2>err
    else
        # shellcheck disable=SC2086 # options are several words
        "$1" verify "$cases/$2" --plan "$3" ${4:---numerics exact --cut-blocks} >out 2>err
    fi
}

while IFS='|' read -r stem case plan tap options mechanism <&3; do
    judge moeparity "$case" "$plan" "$options" || fail "the control: $case"
    judge "mutant_$stem" "$case" "$plan" "$options"
    [ $? = 1 ] || fail "$stem survives: $mechanism"
    killed=$((killed + 1))
    grep -Eq "first (at|     ) ?$tap(:|\$)" out && located=$((located + 1)) || fail "$stem: not located at $tap"
    n=$((n + 1))
done 3<"$FORMATS_MANIFEST"
[ $n -ge 13 ] || fail "only $n mutants"
echo "$killed of $n killed, $located located"
