# --set: any field of a model, of whatever it was read from, with the names,
# values and refusals of a file of ours; wherever a model is opened.

# --- as if the file said so

expect 0 moeparity spec shadow-a --yaml
sed 's/^renormalise: true/renormalise: false/; s/^  theta: 10000$/  theta: 500/' out >other.yaml
cmp -s out other.yaml && fail 'nothing was edited'
expect 0 moeparity spec shadow-a --set renormalise=false --set rope.theta=500 --yaml
cp out set.yaml
expect 0 cmp set.yaml other.yaml
expect 0 moeparity run -m other.yaml -b 2x7 -o want.st
expect 0 moeparity run -m shadow-a --set renormalise=false --set rope.theta=500 -b 2x7 -o taps.st
has out '^set        renormalise=false, rope.theta=500$'
expect 0 moeparity compare want.st taps.st
has out '^SAME$'
expect 0 moeparity run -m shadow-a -b 2x7 -o taps.st
expect 1 moeparity compare want.st taps.st

# a list with a word for each layer; a section; sizes, where weights are made
expect 0 moeparity spec shadow-b --set 'ffn=[moe, dense, dense, moe, moe]' --yaml
has out '^ffn: \[moe, dense, dense, moe, moe\]$'
expect 0 moeparity spec shadow-b --set 'rope={scaling: linear, factor: 2}' --yaml
has out '^  factor: 2$'
expect 0 moeparity spec shadow-a --set layers=3 --set experts=24 --yaml
has out '^experts: 24$'

# what no longer applies goes; what then is needed is asked for
oracle=$ORACLE/mixtral/window_top1_yarn
expect 0 moeparity spec "$oracle" --set rope.scaling=plain --yaml
! grep -q beta_fast out || fail 'a field of yarn is left'
refused 3 "--set rope.factor=2: rope.factor: does not apply to this model" \
    moeparity spec "$oracle" --set rope.scaling=plain --set rope.factor=2
refused 3 "--set: rope.factor, rope.original_positions, rope.low_freq, rope.high_freq: missing" \
    moeparity spec shadow-a --set rope.scaling=llama3

# --- refused

refused 3 "--set rope.tetha=1: rope.tetha: unknown field, is it 'rope.theta'\?, while opening shadow-a" \
    moeparity spec shadow-a --set rope.tetha=1
refused 3 "--set norm_eps=small: norm_eps: 'small', expected a number" moeparity spec shadow-a --set norm_eps=small
refused 3 "--set norm=batch: norm: 'batch', expected one of rms, layer, rms_plus_one" moeparity spec shadow-a --set norm=batch
refused 3 "experts_per_token 30, expected 1 to 20" moeparity spec shadow-a --set experts_per_token=30
refused 3 "--set: ffn: a list of 2, expected one entry for each of 7 layers" moeparity spec shadow-a --set 'ffn=[moe, moe]'
refused 3 "--set ffn=\[\]: expected a value" moeparity spec shadow-a --set 'ffn=[]'
refused 2 "--set: expected FIELD=VALUE, found 'norm_eps'" moeparity spec shadow-a --set norm_eps
refused 2 "--set norm_eps=1: set already by norm_eps=2" moeparity spec shadow-a --set norm_eps=2 --set norm_eps=1

# --- of a checkpoint: its weights stay those of the files

phimoe=$ORACLE/phimoe/tiny
expect 0 moeparity run -m "$phimoe" -b 2x7 -n fp32 -o right.st
expect 0 moeparity run -m "$phimoe" --set norm=rms -b 2x7 -n fp32 -o taps.st
expect 1 moeparity compare right.st taps.st
expect 0 moeparity verify "$phimoe" --set norm=rms --plan tp=2,ep=2 --batch 2x6
has out '^set        norm=rms$'
has out '^VERIFIED'
refused 3 'layers.0.*: asked for, and the weights that are there have no such tensor, while setting fields of ' \
    moeparity run -m "$phimoe" --set shared_inner=8 -b 2x7 -o no.st
refused 3 'asked for, and the weights that are there have another shape, while setting fields of ' \
    moeparity run -m "$phimoe" --set vocabulary=150 -b 2x7 -o no.st
refused 3 'tied_head true: which head there is the files say' \
    moeparity run -m "$phimoe" --set tied_head=true -b 2x7 -o no.st

# --- a golden says what was set, and is checked with it

expect 0 moeparity golden make -m "$phimoe" --set norm=rms --set norm_eps=1e-6 -b 1x6 -n fp32 -o gold
has out '^set        norm=rms, norm_eps=1e-6$'
has gold/manifest.json '"norm=rms"'
expect 0 moeparity golden check gold --model "$phimoe"
expect 0 moeparity run -m "$phimoe" --set norm=rms --set norm_eps=1e-6 -i gold/input.safetensors -n fp32 -o taps.st
expect 0 moeparity compare gold taps.st
expect 0 moeparity run -m "$phimoe" --set norm=rms -i gold/input.safetensors -n fp32 -o taps.st
expect 1 moeparity compare gold taps.st
refused 2 'golden check: manifests say which fields are set' moeparity golden check gold --set norm=rms
sed -i 's/"norm=rms"/7/' gold/manifest.json
expect 3 moeparity golden check gold
has out 'manifest.json: model.set: expected a list of at most 32 texts$'

# --- of a GGUF file, of a config.json alone, and where nothing is computed

expect 0 moeparity spec "$DATA/gguf/gpt_oss__plain.gguf" --set 'span=[full, window, full]' --against "$ORACLE/gpt_oss/plain"
has out 'describe one model$'
mkdir config
cp "$phimoe/config.json" config
expect 0 moeparity spec config --set experts=16 --yaml
has out '^experts: 16$'
expect 0 moeparity predict config --set experts=16 --plan dp=16,ep=16 --machine gpu-400t-64g --batch 16x8
has out '^set        experts=16$'
refused 2 'ep' moeparity predict config --plan dp=16,ep=16 --machine gpu-400t-64g --batch 16x8
