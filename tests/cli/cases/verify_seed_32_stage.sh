# The seed's counts, small matrices, on seed-32-stage.
verified seed-mini --plan seed-32-stage
has out '^plan       seed-32-stage: .* on 32 ranks$'
[ "$(count out dropped)" -gt 0 ] || fail 'nothing was dropped'
