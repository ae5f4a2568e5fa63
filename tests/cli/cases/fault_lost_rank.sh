# A rank of the real command dies or stops: it is named with the place it was in,
# and nothing is left (the runner looks).
# Only a stopped rank is waited for: on a busy machine nothing may move for long.
lose() # SIGNAL RANK POINT [REGEX]
{
    stall=30
    [ "$1" != STOP ] || stall=10
    hold "$2" "$3" moeparity verify seed-mini --plan seed-32 --batch 64x16 \
        --stall $stall --json report.json --events events
    kill "-$1" "$held"
    ended 5
    has err "^moeparity: ${4-}rank $2 \\(pid $held\\) (died|is stopped); last seen: rank $2 computes \\($3[,)]"
    [ "$(grep -c '^moeparity: .*last seen' err)" = 1 ] || fail 'more than one line'
}

lose KILL 0 start
lose KILL 17 layers.9.attn_out
lose KILL 31 verdict
lose SEGV 5 layers.2.router_logits
lose STOP 9 layers.5.attn.context 'nothing has moved for 10 s: '

# Neither does a run leave its unfinished output.
hold 4 layers.1.attn_out moeparity run -m seed-mini \
    -i "$SELF/seed-mini/input.safetensors" -o taps.st -p seed-32
ls | grep -q '^taps.st.partial-' || fail 'no output to lose'
kill -KILL "$held"
ended 5
has err "^moeparity: rank 4 \\(pid $held\\) died"
