# Threads of a rank wait awake where there is a processor for each, of those that this process may use.
cat >mpiexec <<'END'
#!/bin/sh
[ "$1" = --version ] || echo "${GOMP_SPINCOUNT:-none}" >spins
exec "$REAL" "$@"
END
chmod +x mpiexec
REAL=$(command -v mpiexec)
export REAL MOEPARITY_MPIEXEC="$PWD/mpiexec"
unset GOMP_SPINCOUNT
plan="moeparity verify shadow-a --numerics exact --plan"
first=$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')
expect 0 taskset -c "$first" $plan tp=1
has err ' on 1 core,'
has spins '^none$'
expect 0 $plan tp=1
cores=$(sed -n 's/.* on \([0-9]*\) cores*,.*/\1/p' err)
[ "$cores" -lt 2 ] || has spins '^100000$'
expect 0 $plan tp=2
[ "$cores" -ge 4 ] || has spins '^none$'
