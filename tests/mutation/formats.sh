# Reference and emulation read weights by the same code, so what reads them wrongly shows only to a third witness: what transformers makes of the values
# that the publisher's package means.  A mutant that is asked for a plan is wrong on some ranks alone, and verify sees it.
cases=$ORACLE
n=0 killed=0 located=0

# find_case CASE: $model and what other people's code makes of it, $witness; of gguf/FAMILY__CASE what the case of the family has
find_case()
{
    model=$cases/$1 witness=$cases/$1/expected.safetensors
    case $1 in
    gguf/*__*) model=$DATA/$1.gguf witness=${1#gguf/} witness=$cases/${witness/__//}/expected.safetensors ;;
    gguf/*) model=$DATA/$1.gguf witness=$DATA/$1.safetensors ;;
    esac
}

judge() # PROGRAM CASE PLAN OPTIONS: exit code of the comparison, report in ./out
{
    find_case "$2"
    if [ "$3" = golden ]; then # what the mutant quantises, against what the program does
        gold=gold_${2//\//_}
        rm -rf other
        make=(golden make --model "$model" --weights-bits 4 --block 8 --layers 1 --tokens 1x4 --numerics fp32)
        [ -d "$gold" ] || expect 0 moeparity "${make[@]}" --out "$gold"
        expect 0 "$1" "${make[@]}" --export-weights --out other
        expect 0 moeparity run -m other --layers 1 -i "$gold/input.safetensors" -n fp32 -o taps.st
        moeparity compare "$gold" taps.st >out 2>err
    elif [ "$3" = none ]; then
        expect 0 "$1" run -m "$model" -i "$witness" -o taps.st
        moeparity compare "$witness" taps.st >out 2>err
    else
        # shellcheck disable=SC2086 # options are several words
        "$1" verify "$model" --plan "$3" ${4:---numerics exact --cut-blocks} >out 2>err
    fi
}

while IFS='|' read -r stem case plan tap options mechanism <&3; do
    judge moeparity "$case" "$plan" "$options" || fail "the control: $case"
    judge "mutant_$stem" "$case" "$plan" "$options"
    [ $? = 1 ] || fail "$stem survives: $mechanism"
    killed=$((killed + 1))
    grep -Eq "first (at|     ) ?$tap(:|,|\$)" out && located=$((located + 1)) || fail "$stem: not located at $tap"
    n=$((n + 1))
done 3<"$FORMATS_MANIFEST"
[ $n -ge 28 ] || fail "only $n mutants"
echo "$killed of $n killed, $located located"
