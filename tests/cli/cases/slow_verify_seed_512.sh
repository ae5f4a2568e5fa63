# The seed's counts on as many ranks as its degrees multiply to.
verified seed-mini --plan seed-512 --batch 256x4
has out '^plan       seed-512: .* on 512 ranks$'
