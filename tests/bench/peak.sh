#!/bin/sh
# tests/bench/peak.sh SECONDS COMMAND... -- the most memory that a run held.
#
# Looks every SECONDS: at a control group of the run's own where one can be made
# (version 1 or 2), which costs next to nothing whatever the number of processes;
# else at all processes below this one, their private and file pages by share
# (Pss), and the files of /dev/shm once, by their size there, which no process
# need have mapped.  Prints the largest sum, the wall time and the command's own
# exit status on stderr; the command's output is its own.
# Traps: Pss of shared memory is left out, the files are counted instead; a group
# counts neither page tables nor files that are on a disk.
set -u
every=$1
shift

# A group for the run: $group; empty if none can be made.
make_group() {
    if [ -d /sys/fs/cgroup/memory ]; then
        group=/sys/fs/cgroup/memory/moeparity-peak-$$
        anonymous=total_rss
        files=total_shmem
    else
        group=/sys/fs/cgroup/moeparity-peak-$$
        anonymous=anon
        files=shmem
    fi
    mkdir "$group" 2>/dev/null && [ -r "$group/memory.stat" ] && return
    rmdir "$group" 2>/dev/null
    group=
}

below() { # process ids: $1 and everything below it
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        below "$child"
    done
}

# KiB that processes hold, and files in memory
look() {
    if [ -n "$group" ]; then
        awk -v anonymous="$anonymous" -v files="$files" '
            $1 == anonymous { a = $2 } $1 == files { f = $2 }
            END { printf "%d %d\n", a / 1024, f / 1024 }' "$group/memory.stat"
        return
    fi
    for pid in $(below "$run"); do
        cat /proc/"$pid"/smaps_rollup 2>/dev/null
    done | awk -v files="$(($(du -sk /dev/shm | cut -f1) - before))" '
        /^Pss_(Anon|File):/ { n += $2 } END { print n + 0, files }'
}

make_group
start=$(date +%s.%N)
before=$(du -sk /dev/shm | cut -f1)
if [ -n "$group" ]; then
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@" &
else
    "$@" &
fi
run=$!
peak=0
while kill -0 "$run" 2>/dev/null; do
    now=$(look)
    shared=${now#* }
    now=${now% *}
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
[ -z "$group" ] || rmdir "$group"
exit "$status"
