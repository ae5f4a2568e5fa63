# --checkpoint DIR: one reference for many plans, and after an interruption; what
# is of something else or damaged is refused, and left as it is.
verify='moeparity verify shadow-a --batch 8x11 --numerics exact --checkpoint kept'
plan='--plan tp=2,dp=2,ep=2,mb=2'
count() { grep -c 'made earlier' out || true; }
same() { ( cd kept && sha256sum ./*.taps ./*.facts ); }

expect 0 $verify $plan
[ "$(count)" = 0 ] || fail 'nothing was there to be found'
same >before
expect 0 $verify $plan
[ "$(count)" = 1 ] || fail 'the reference was made again'
expect 0 $verify --plan pp=2,dp=4,ep=4                # as many parts
[ "$(count)" = 1 ] || fail 'another plan did not find the reference'
expect 0 $verify --plan pp=2                          # other token groups
[ "$(count)" = 0 ] || fail "other token groups took the reference of these"
rm kept/reference-exact-1.* && same | grep reference | diff - <(grep reference before) ||
    fail 'a run changed what was kept'

# The taps of a run that compares more than values: bounds and drawn roundings.
expect 0 $verify $plan --numerics bf16
expect 0 $verify $plan --numerics bf16
[ "$(count)" = 1 ] || fail 'the reference in bf16 was made again'

# Of something else.
foreign() {
    expect 3 $verify $plan "${@:2}"
    has err "kept/reference-exact-4\.facts: made for another $1: expected '.*', found '.*'"
    [ "$(grep -vc '^moeparity: about' err)" = 1 ] || fail 'more than a line'
}
foreign weights --seed 2
foreign batch --batch 8x12
foreign batch --padding
foreign model --layers 3

# Damaged: a byte of the taps, a cut file, facts of a file that is gone.
cp -r kept good
printf x | dd of=kept/reference-exact-4.taps bs=1 seek=30000 conv=notrunc 2>dd
expect 3 $verify $plan
has err 'kept/reference-exact-4\.taps: damaged: expected XXH3 [0-9a-f]*, found'
truncate -s 40000 kept/reference-exact-4.taps
expect 3 $verify $plan
has err 'kept/reference-exact-4\.taps: damaged'
truncate -s 60 kept/reference-exact-4.facts
expect 3 $verify $plan
has err 'kept/reference-exact-4\.facts: '
rm -r kept && cp -r good kept
expect 0 $verify $plan
[ "$(count)" = 1 ] || fail 'the copy is as good'

# A run that is ended while it makes the reference leaves nothing half written;
# once that is done it goes on from there.
rm -r kept
hold 0 reference $verify $plan
kill -TERM $run
wait $run
[ -z "$(ls kept)" ] || fail "half written: $(ls kept)"
hold 1 layers.3.attn_out $verify $plan
kill -TERM $run
wait $run
[ $? = 143 ] || fail 'the run was not ended by the signal'
! ls kept | grep partial || fail 'something half written'
expect 0 $verify $plan
[ "$(count)" = 1 ] || fail 'the interrupted run did not go on'

# Taps without facts are none.
rm kept/reference-exact-4.facts
expect 0 $verify $plan
[ "$(count)" = 0 ] || fail 'taps of nobody knows what were taken'

# A folder that cannot be made.
expect 3 moeparity verify shadow-a --checkpoint none/kept $plan
has err '^moeparity: .*--checkpoint: none/kept: No such file'
