# The seed's counts, small matrices, on seed-32.
verified seed-mini --plan seed-32
has out '^plan       seed-32: .* on 32 ranks$'
[ "$(count out dropped)" -gt 0 ] || fail 'nothing was dropped'
