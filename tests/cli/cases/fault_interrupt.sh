# SIGINT and SIGTERM to the launcher: 128 + signal, one line, nothing left.
interrupt() # SIGNAL NUMBER RANK POINT
{
    hold "$3" "$4" moeparity verify seed-mini --plan seed-16 --batch 64x16 \
        --json report.json
    kill "-$1" $run
    ended $((128 + $2))
    has err "^moeparity: interrupted by signal $2$"
}
interrupt INT 2 3 layers.2.attn_out
interrupt TERM 15 15 start
interrupt TERM 15 0 verdict
