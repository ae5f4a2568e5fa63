# The seed's counts, small matrices, on seed-16.
verified seed-mini --plan seed-16
has out '^plan       seed-16: .* on 16 ranks$'
[ "$(count out dropped)" -gt 0 ] || fail 'nothing was dropped'
