#!/bin/sh
# tests/bench/bench.sh PROGRAM BENCH_REF [PART...] -- the figures of this machine.
#
# A line per figure: what, measured, wanted, the command.  Nothing is judged:
# the figures mean what the machine was doing meanwhile, so look at the load in
# the first line.  PART: ref weights mixers predict wide mini large row shards many
# (without any: these, some six minutes), and full (seed-30b, all layers: a minute),
# thousand (1,024 ranks: four) and deepseek (its full size: an hour).  With
# BEFORE=PROGRAM in the environment wide, mini, large, many and full run that one,
# too, in turn with this one, TURNS times (3), and print the ratios of the medians:
# some four times as long.  What runs is said on stderr; where the time that a run
# said for itself and the time it took are more than 1.5 apart, so is that.
set -u
program=$1
bench_ref=$2
shift 2
here=$(dirname "$0")
out=$(mktemp)
trap 'rm -rf "$out" "$out.taps" "$out.folder" "$out.gguf" "$out.said"' EXIT
: >"$out.said"
begun=$(date +%s)

line() { printf '%-46s %-44s %s\n' "$1" "$2" "$3"; }

# now WORDS...: what runs, for who waits
now() { echo "bench: $(($(date +%s) - begun)) s, $*" >&2; }

# said ARGUMENTS...: of the run whose output is in $out, the seconds it said for
# itself before and those it took
said() {
    sed -n 's/^moeparity: about \([0-9]*\) s on .*/\1/p; s/^peak .*wall \([0-9.]*\) s.*/\1/p' "$out" |
        paste -s -d ' ' | sed "s|\$| $*|" | awk 'NF > 2' >>"$out.said"
}

# show NAME WANTED ARGUMENTS...: run the program under peak.sh, keep its output.
show() {
    name=$1
    wanted=$2
    shift 2
    now "$name"
    "$here/peak.sh" 1 "$program" "$@" >"$out" 2>&1
    said "$@"
    line "$name" "$(sed -n 's/^peak //p' "$out")" "$wanted"
    printf '    moeparity %s\n' "$*"
}

# Processor seconds of operators and of the reference, per numerics.
operators() {
    awk '/^(exact|fp32) / { kind = $1 }
         /processor seconds of all ranks/ {
             sub(/.*owned/, "owned"); sub(/;.*/, ""); owned = $0 }
         /the reference.s processor seconds/ {
             sub(/^ +/, ""); printf "    %-6s %s; %s\n", kind, owned, $0 }' "$out"
}

# Where the seconds of a run went, as far as its report says.
seconds() {
    awk '/^(exact|fp32) / { kind = $1 }
         /^  reference / { printf "    %-6s reference %s s", kind, $2 }
         /^  emulation / { printf ", start-up %s s, a pass %s s\n", $5, $2 }
         /^time / { print "    in all " $2 " s" }' "$out"
}

memory() {
    awk '/^  memory / { sub(/.*the reference/, "the reference"); ref = $0 }
         /largest rank held/ { sub(/^ +/, ""); print "    " $0 "; " ref }' "$out"
}

# Wall and processor seconds of one `PROGRAM verify seed-mini ARGUMENTS...`.
clock() {
    { time -p "$@" >/dev/null; } 2>&1 |
        awk '/^real/ { wall = $2 } /^(user|sys)/ { cpu += $2 } END { print wall, cpu }'
}

# Wall, processor and owned seconds and GiB of one `PROGRAM ARGUMENTS...`; peak.sh,
# which looks every second, is in the processor seconds of both.
figures() {
    { time -p "$here/peak.sh" 1 "$@"; } 2>&1 | awk '
        /^peak/ { memory = $2 } /^real/ { wall = $2 } /^(user|sys)/ { cpu += $2 }
        /owned [0-9.]+,/ { sub(/.*owned /, ""); owned += $1 }
        END { print wall, cpu, owned, memory }'
}

# The same of a program built before, $BEFORE, if there is one: first that, then
# this, three times; the medians' ratios.
ratio() {
    [ -n "${BEFORE:-}" ] || return 0
    for turn in $(seq "${TURNS:-3}"); do
        now "$* before, turn $turn of ${TURNS:-3}"
        before=$(figures "$BEFORE" "$@")
        now "$* now, turn $turn of ${TURNS:-3}"
        echo "$before $(figures "$program" "$@")"
    done | awk '
        function median(i,  j, k, t) {
            for (j = 2; j <= NR; j++)
                for (k = j; k > 1 && v[k, i] < v[k - 1, i]; k--) {
                    t = v[k, i]; v[k, i] = v[k - 1, i]; v[k - 1, i] = t }
            return v[int((NR + 1) / 2), i] }
        { for (i = 1; i <= 8; i++) v[NR, i] = $i }
        END { for (i = 1; i <= 8; i++) m[i] = median(i)
            printf "    before, now and ratio: wall %.1f s %.1f s %.2f, processors %.1f s %.1f s %.2f, ", m[1], m[5], m[5] / m[1], m[2], m[6], m[6] / m[2]
            printf "owned %.2f s %.2f s %.2f, memory %.2f GiB %.2f GiB %.2f\n", m[3], m[7], m[7] / m[3], m[4], m[8], m[8] / m[4] }'
}

# 32 and 512 ranks with the same work for each.
growth() {
    for dp in 2 32; do
        now "$((16 * dp)) ranks with the same work for each"
        echo "$((16 * dp)) $(clock "$program" verify seed-mini --numerics exact \
            --plan "tp=4,pp=4,dp=$dp,ep=8,mb=8" --batch "$((8 * dp))x16")"
    done | awk -v cores="$(nproc)" '{
        wall[NR] = $2 * cores / $1; cpu[NR] = $3 / $1
        printf "    %d ranks: %.1f s, %.3f s x cores and %.3f s of processors a rank\n", $1, $2, wall[NR], cpu[NR] }
        END { printf "    growth %.2f, of processors %.2f (wanted 1.3)\n", wall[2] / wall[1], cpu[2] / cpu[1] }'
}

part() {
    case $1 in
    ref)
        "$bench_ref" >"$out" 2>&1
        line "reference against dgemm 2048^3" \
            "$(sed -n 's/^reference . dgemm *//p' "$out")" "at least 80 %"
        sed 's/^/    /' "$out"
        ;;
    weights)
        line "weights per second, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
            "" "2.5 G/s alone, 1.0 by 16 rows, 2 cores of Zen 3"
        "$(dirname "$bench_ref")/bench_weights" | sed 's/^/    /'
        ;;
    mixers)
        "$(dirname "$bench_ref")/bench_mixers" >"$out" 2>&1
        line "layers of state operators and of attention" "" "at least half its tokens/s"
        sed 's/^/    /' "$out"
        ;;
    predict)
        "$(dirname "$bench_ref")/bench_predict" >"$out" 2>&1
        line "predictions per second, one thread" "$(head -n 1 "$out")" ""
        sed '1d; s/^/    /' "$out"
        ;;
    wide)
        show "wide model, 4 ranks" "owned at most 1.5 x the reference" \
            verify "$here/wide.yaml" --batch 4x256 \
            --plan tp=2,pp=2,ep=4,scope=replica,mb=2
        operators
        ratio verify "$here/wide.yaml" --batch 4x256 \
            --plan tp=2,pp=2,ep=4,scope=replica,mb=2
        ;;
    mini)
        show "seed-mini on seed-32, exact and fp32" "20 s" verify
        seconds
        operators
        memory
        ratio verify
        ;;
    large)
        show "two layers of seed-30b on 8 ranks" "10 min, 16 GiB" verify \
            seed-30b --layers 2 --plan tp=4,pp=2,ep=8,scope=replica,mb=1
        seconds
        memory
        ratio verify seed-30b --layers 2 \
            --plan tp=4,pp=2,ep=8,scope=replica,mb=1
        ;;
    row)
        show "10,240 tokens, a layer of seed-30b" "6 GiB" run --model seed-30b \
            --layers 1 --batch 1x10240 --out "$out.taps"
        ;;
    shards)
        python3 "$here/sparse_folder.py" "$out.folder"
        python3 "$here/sparse_gguf.py" "$out.gguf"
        for command in inspect spec; do
            for model in folder gguf; do
                { time -p "$program" $command "$out.$model" >/dev/null; } 2>"$out"
                line "$command, 100,000 tensors, $model" \
                    "$(awk '/user|sys/ { s += $2 } END { print s " s of processor time" }' "$out")" "1 s"
            done
        done
        rm -rf "$out.folder" "$out.gguf"
        ;;
    many)
        show "seed-mini on 512 ranks" "a quarter of BEFORE, 3 GiB" verify \
            seed-mini --plan seed-512
        seconds
        memory
        ratio verify seed-mini --plan seed-512
        growth
        ;;
    full)
        show "seed-30b, all layers, seed-32, exact" "a quarter of BEFORE, 8 GiB, owned 1.2 x" \
            verify seed-30b --plan seed-32 --numerics exact
        seconds
        operators
        memory
        ratio verify seed-30b --plan seed-32 --numerics exact
        ;;
    thousand)
        show "seed-mini on 1,024 ranks" "finishes, 8 GiB" \
            verify seed-mini --plan seed-512,dp=64 --batch 512x16
        seconds
        memory
        ;;
    deepseek)
        show "DeepSeek-V3, 671B, exact" "60 min, 18 GiB, every expert" \
            verify "$here/../../docs/claims/models/deepseek-v3" --numerics exact \
            --plan tp=2,pp=2,dp=2,ep=4,mb=1
        seconds
        operators
        memory
        ;;
    *)
        echo "bench.sh: no part '$1'" >&2
        exit 2
        ;;
    esac
}

echo "$(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
line "WHAT" "MEASURED" "WANTED"
[ $# -gt 0 ] || set -- ref weights mixers predict wide mini large row shards many
for name in "$@"; do
    now "part $name"
    part "$name"
done
awk '{ r = $1 > $2 ? $1 / $2 : $2 / $1; if (r <= 1.5) good++
       else printf "    said %d s, took %.1f s:%s\n", $1, $2, substr($0, length($1 $2) + 2) }
     END { if (NR) printf "times said before: %d of %d within 1.5\n", good, NR }' "$out.said"
