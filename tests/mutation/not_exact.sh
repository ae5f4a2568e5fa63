# An emulation whose check does not hold ends with exit 4 and the place, although no value is wrong and the reference's checks hold.
run=(verify shadow-a --plan tp=2,ep=2 --batch 2x11 --numerics exact --allow-partial)
expect 0 moeparity "${run[@]}"
expect 4 mutant_not_exact "${run[@]}"
has err 'layers.0.attn.norm: [0-9.]+ bits, 53 allowed; .*--numerics fp32'
