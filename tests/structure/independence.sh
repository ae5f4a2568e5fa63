#!/usr/bin/env bash
# Who uses whom, read from the libraries themselves.
#   independence.sh SOURCE_DIR LIBCORE LIBREF LIBPARALLEL LIBGOLDEN LIBHARNESS
set -euo pipefail
source_dir=$1 core=$2 ref=$3 parallel=$4 golden=$5 harness=$6
failures=0

undefined() { nm -u "$1" 2>/dev/null | awk '{print $2}' | sort -u; }

forbid() { # LIBRARY PATTERN
    local found
    if found=$(undefined "$1" | grep -E "$2" | sed -n 1,3p | tr '\n' ' ') && [ -n "$found" ]; then
        echo "$(basename "$1") must not use: $found"
        failures=$((failures + 1))
    fi
}

expect() { # LIBRARY PATTERN: the control; a pattern that matches nothing would forbid nothing
    grep -qE "$2" <<<"$(undefined "$1")" || { # no pipe: -q would end it early, and with it the check
        echo "$(basename "$1") should use $2: the check itself is broken"
        failures=$((failures + 1))
    }
}

forbid "$core" '^(ref|par|har|gold)_|^MPI_'
forbid "$ref" '^(par|har|gold)_|^MPI_'
forbid "$parallel" '^(ref|har|gold)_'
forbid "$golden" '^(par|har)_|^MPI_'
expect "$parallel" '^MPI_'
expect "$harness" '^ref_'
expect "$harness" '^par_'
expect "$ref" '^core_'

includes=$(cd "$source_dir" && grep -lE '#include *<mpi\.h>' -r core ref parallel golden harness | tr '\n' ' ')
if [ "$includes" != "parallel/comm_mpi.c " ]; then
    echo "<mpi.h> is included by: $includes(want parallel/comm_mpi.c alone)"
    failures=$((failures + 1))
fi

crossing=$(cd "$source_dir" && { grep -nE '#include "(parallel|harness|golden)/' -r ref core; grep -nE '#include "(ref|harness|golden)/' -r parallel; grep -nE '#include "(parallel|harness)/' -r golden; } || true)
if [ -n "$crossing" ]; then
    echo "forbidden includes: $crossing"
    failures=$((failures + 1))
fi

[ "$failures" = 0 ]
