#!/usr/bin/env bash
# Who uses whom, read from the libraries themselves.
#   independence.sh SOURCE_DIR FOLDER=ARCHIVE,ARCHIVE...  ...
set -euo pipefail
source_dir=$1
failures=0

declare -A archives
for argument in "${@:2}"; do
    archives[${argument%%=*}]=${argument#*=}
done

undefined() { # FOLDER: what its archives take from elsewhere or from each other
    tr ',' '\n' <<<"${archives[$1]}" | xargs nm -u 2>/dev/null | awk 'NF == 2 {print $2}' | sort -u
}

forbid() { # FOLDER PATTERN
    local found
    if found=$(undefined "$1" | grep -E "$2" | sed -n 1,3p | tr '\n' ' ') && [ -n "$found" ]; then
        echo "$1 must not use: $found"
        failures=$((failures + 1))
    fi
}

expect() { # FOLDER PATTERN: the control; a pattern that matches nothing would forbid nothing
    grep -qE "$2" <<<"$(undefined "$1")" || { # no pipe: -q would end it early, and with it the check
        echo "$1 should use $2: the check itself is broken"
        failures=$((failures + 1))
    }
}

forbid core '^(ref|par|har|gold)_|^MPI_'
forbid ref '^(par|har|gold)_|^MPI_'
forbid parallel '^(ref|har|gold)_'
forbid golden '^(par|har)_|^MPI_'
expect parallel '^MPI_'
expect harness '^ref_'
expect harness '^par_'
expect ref '^core_'

includes=$(cd "$source_dir" && grep -lE '#include *<mpi\.h>' -r core ref parallel golden harness | tr '\n' ' ')
if [ "$includes" != "parallel/comm_mpi.c " ]; then
    echo "<mpi.h> is included by: $includes(want parallel/comm_mpi.c alone)"
    failures=$((failures + 1))
fi

[ "$failures" = 0 ]
