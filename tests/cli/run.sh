#!/usr/bin/env bash
# tests/cli/run.sh CASE.sh: run one case of the command line.
#
# A case is a script; beside CASE.sh may lie CASE.exit (its exit code, else 0)
# and what it prints: CASE.stdout.exact, or CASE.stdout.glob and
# CASE.stderr.glob, in which each line is a shell pattern and a line "..."
# stands for any number of lines.  The script runs in an empty folder with the
# helpers of lib.sh, $DATA (tests/data), $ORACLE and $SELF (golden/data; ORACLE
# may name another folder of cases), and
# `moeparity` on the path.  Whatever the case does, no process of it and no file
# in the run folder may outlive it.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case_sh=$(realpath "$1")
base=${case_sh%.sh}
DATA=$here/../data
ORACLE=${ORACLE:-$here/../../golden/data/oracle}
SELF=$here/../../golden/data/self
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DATA ORACLE SELF
runs=$work/runs
mkdir "$work/cwd" "$work/tmp" "$runs"

# matches FILE GLOB_FILE: says which line of which file does not fit.
matches()
{
    local -a lines patterns
    mapfile -t lines <"$1"
    mapfile -t patterns <"$2"
    local i=0 any=no pattern
    for pattern in "${patterns[@]}"; do
        [ "$pattern" != ... ] || { any=yes; continue; }
        while [ $any = yes ] && [ $i -lt ${#lines[@]} ] &&
              [[ ${lines[i]} != $pattern ]]; do
            i=$((i + 1))
        done
        if [ $i -ge ${#lines[@]} ] || [[ ${lines[i]} != $pattern ]]; then
            echo "$(basename "$2"): expected '$pattern', found" \
                 "'${lines[i]-end of output}'"
            return 1
        fi
        i=$((i + 1))
        any=no
    done
    [ $any = yes ] || [ $i = ${#lines[@]} ] ||
        { echo "$(basename "$2"): more than expected: '${lines[i]}'"; return 1; }
}

# What outlives a case: processes by the run folder in their environment, which
# this shell does not have in its own; files by where they may lie.
leftovers()
{
    local environ
    for environ in $(grep -lsz "^MOEPARITY_RUN_DIR=$runs\$" /proc/[0-9]*/environ); do
        echo "process left: ${environ%/environ}"
    done
    find "$runs" "$work/tmp" -mindepth 1 -printf 'file left: %p\n'
}

(cd "$work/cwd" && TMPDIR=$work/tmp MOEPARITY_RUN_DIR=$runs \
    exec bash -u -c '. "$0"; . "$1"' "$here/lib.sh" "$case_sh") \
    >"$work/stdout" 2>"$work/stderr" </dev/null
code=$?
expected=0
[ ! -f "$base.exit" ] || expected=$(cat "$base.exit")

good=yes
[ $code = "$expected" ] || { echo "exit $code, expected $expected"; good=no; }
[ ! -f "$base.stdout.exact" ] ||
    diff "$base.stdout.exact" "$work/stdout" || good=no
[ ! -f "$base.stdout.glob" ] ||
    matches "$work/stdout" "$base.stdout.glob" || good=no
[ ! -f "$base.stderr.glob" ] ||
    matches "$work/stderr" "$base.stderr.glob" || good=no
left=$(leftovers)
[ -z "$left" ] || { echo "$left"; good=no; }
[ $good = yes ] || { head -50 "$work/stdout" "$work/stderr"; exit 1; }
