# Rows grow by the tokens with the largest logits: by a plan in steps, from what it keeps, as by the reference, which makes each token from all before it.
expect 0 moeparity run --model shadow-a --batch 4x6 --decode 9 --numerics exact --out whole.st
expect 0 moeparity run --model shadow-a --batch 4x6 --decode 9 --numerics exact --out steps.st --plan tp=2,pp=2,ep=2,etp=2,scope=replica
expect 0 moeparity compare whole.st steps.st
has out '^compared   46 tensors, 0 differ'
expect 0 moeparity inspect steps.st
has out '^input_ids +I64 +\[4,15\]'

# Keys that are chosen among digests, made of tokens of earlier steps.
expect 0 moeparity run --model "$DATA/../mutation/models/digest.yaml" --batch 4x6 --decode 9 --numerics exact --out whole.st3
expect 0 moeparity run --model "$DATA/../mutation/models/digest.yaml" --batch 4x6 --decode 9 --numerics exact --out steps.st3 --plan tp=2,pp=2,ep=2
expect 0 moeparity compare whole.st3 steps.st3
has out '^SAME$'

# Prompts on file; a chunk changes no token where nothing is dropped.
expect 0 moeparity run --model "$ORACLE/mixtral/window_top1_yarn" --input whole.st --decode 7 --numerics exact --out whole.st2
expect 0 moeparity run --model "$ORACLE/mixtral/window_top1_yarn" --input whole.st --decode 7 --chunk 2 --numerics exact --out steps.st2 --plan tp=2,ep=2
expect 0 moeparity compare whole.st2 steps.st2
has out '^SAME$'

refused 2 '--decode: .*: a layer alone makes no tokens' moeparity run --model "$ORACLE/switch_layer/cap_tight" --batch 2x4 --decode 2 --out x.st
refused 2 "--decode: expected .*, found '0'" moeparity run --model shadow-a --batch 2x4 --decode 0 --out x.st
expect 2 moeparity run --model shadow-a --batch 2x4 --chunk 2 --out x.st
has err '--chunk needs --decode'
