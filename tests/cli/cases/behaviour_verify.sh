# The same command says the same, another seed something else; nothing named
# means seed-mini on seed-32.
without_times() # FILE
{
    grep -v -e '^time' -e processor "$1" | sed -E 's/[0-9.]+ s\b/T/g'
}
verified shadow-b --plan tp=2,pp=2
without_times out >first
verified shadow-b --plan tp=2,pp=2
without_times out >second
diff first second >&2 || fail 'two runs, two reports'
verified shadow-b --plan tp=2,pp=2 --seed 2
without_times out | sed 's/seed 2/seed 1/g' >other
! cmp -s first other || fail 'the seed changes nothing'

expect 0 moeparity verify shadow-b --plan tp=2 --forced
has out 'forced pass$'
! grep -q 'free pass$' out || fail '--forced ran free'

expect 0 moeparity verify shadow-a --plan tp=2 --keep
folder=$(sed -n 's/.*the run folder is kept: //p' err)
[ -d "$folder" ] || fail 'the kept folder is gone'
rm -r "$folder"
