#!/bin/sh
# tests/bench/peak.sh SECONDS COMMAND... -- the most memory that a run held.
#
# Looks every SECONDS at all processes below this one: their private and file
# pages by share (Pss), and the files of /dev/shm once, by their size there,
# which no process need have mapped.  Prints the largest sum, the wall time and
# the command's own exit status on stderr; the command's output is its own.
# Trap: Pss of shared memory is left out, the files are counted instead.
set -u
every=$1
shift

below() { # process ids: $1 and everything below it
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        below "$child"
    done
}

start=$(date +%s.%N)
before=$(du -sk /dev/shm | cut -f1)
"$@" &
run=$!
peak=0
while kill -0 "$run" 2>/dev/null; do
    now=$(for pid in $(below "$run"); do
        cat /proc/"$pid"/smaps_rollup 2>/dev/null
    done | awk '/^Pss_(Anon|File):/ { n += $2 } END { print n + 0 }')
    shared=$(($(du -sk /dev/shm | cut -f1) - before))
    sum=$((now + shared))
    if [ "$sum" -gt "$peak" ]; then
        peak=$sum
        parts="processes $((now / 1024)) MiB, files in memory $((shared / 1024)) MiB"
    fi
    sleep "$every"
done
wait "$run"
status=$?
awk -v peak="$peak" -v start="$start" -v end="$(date +%s.%N)" \
    -v parts="${parts:-}" -v status="$status" 'BEGIN {
    printf "peak %.2f GiB (%s), wall %.1f s, exit %d\n",
        peak / 1048576, parts, end - start, status }' >&2
exit "$status"
