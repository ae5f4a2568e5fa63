# What steps keep beside keys and values of heads: latents, states, inputs of convolutions, keys that choose, digests.
models=$DATA/../mutation/models
expect 0 moeparity verify "$models/latent.yaml" --plan tp=2,pp=3,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial
expect 0 moeparity verify "$models/latent.yaml" --set sliding_window=4 --plan tp=2,ep=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial
expect 0 moeparity verify "$models/mamba.yaml" --plan tp=2,dp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,fp32
expect 0 moeparity verify "$models/shortconv.yaml" --plan tp=3,pp=2,ep=3,mb=2 --batch 5x8 --decode 20 --chunk 1 --allow-partial
expect 0 moeparity verify "$models/deltanet.yaml" --plan tp=2,dp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,fp32,bf16
expect 0 moeparity verify "$models/kda.yaml" --plan tp=2,pp=3,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 8 --allow-partial
expect 0 moeparity verify "$models/ssd.yaml" --plan tp=3,pp=2,ep=3,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,fp32,bf16
expect 0 moeparity verify "$models/onekv.yaml" --plan tp=2,pp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,bf16
expect 0 moeparity verify "$models/digest.yaml" --plan tp=2,dp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,fp32,bf16
expect 0 moeparity verify "$models/blocks.yaml" --plan tp=2,dp=2,ep=2,mb=2 --batch 5x8 --decode 20 --chunk 3 --allow-partial --numerics exact,fp32
expect 0 moeparity verify "$models/indexer.yaml" --plan tp=2,pp=3,ep=2,mb=2 --batch 5x11 --decode 20 --chunk 3 --allow-partial
