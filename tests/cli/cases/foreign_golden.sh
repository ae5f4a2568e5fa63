# Goldens: exact ones bit for bit, tap files without tolerances by the oracle's
# rule, other goldens; decode steps; and bundles that cannot be used.
expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics exact -o exact.st
foreign bundle exact.st gold --numerics exact
expect 0 moeparity compare gold exact.st
has out '^golden     gold, exact; tolerances: none, bit for bit$'
! grep -q '^tolerances ' out || fail 'widths of no tolerances'
has out '^PASS       16 taps, bit for bit$'
cp exact.st other.st
foreign edit other.st layers.1.out 'x[2, 3, 1] += 2.0 ** -10'
expect 1 moeparity compare gold other.st
has out '^FAIL       first at p0.layers.1.out, bit for bit$'
has out 'row 2, position 3, column 1: .*observed / bound inf; other.st$'
foreign edit other.st layers.1.out 'x[2, 3, 1] = 0.0'
expect 1 moeparity compare gold other.st

# a golden against a golden; a tap file as golden of a dump in a folder
expect 0 moeparity compare gold gold
has out '^PASS       16 taps' # its input is compared, too
mkdir dump
cp exact.st dump/all.safetensors
expect 0 moeparity compare exact.st dump
expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp64 -o fp64.st
expect 0 moeparity run -m shadow-a --layers 2 --batch 3x5 --numerics fp32 -o fp32.st
cp fp32.st dump/all.safetensors
expect 0 moeparity compare fp64.st dump
has out "^golden     fp64.st, fp64; tolerances: the oracle's rule per tap, not per row$"
foreign edit dump/all.safetensors layers.1.out 'x[2, 3, 1] *= 1.001'
expect 1 moeparity compare fp64.st dump

# the oracle's own files: padding is set aside, a Switch layer has other names
expect 0 moeparity run -m "$ORACLE/mixtral/leftpad" -i "$ORACLE/mixtral/leftpad/expected.safetensors" -o pad.st
expect 0 moeparity compare "$ORACLE/mixtral/leftpad/expected.safetensors" pad.st --junit pad.xml
has out '^padding    9 tokens are not judged$'
switch=$ORACLE/switch_layer/cap_tight
expect 0 moeparity run -m "$switch" -i "$switch/expected.safetensors" -o switch.st
expect 0 moeparity compare "$switch/expected.safetensors" switch.st --junit switch.xml
has out '^PASS       18 taps'
foreign edit switch.st p1.expert 'x[0, 2] += 1'
expect 1 moeparity compare "$switch/expected.safetensors" switch.st --junit switch.xml
has out '^FAIL       first at p1.expert, '

# a decode step holds two positions of every row
foreign bundle fp32.st gold --relative 1.5
expect 0 moeparity compare gold fp32.st --html wide.html
has out "^tolerances up to 1\.5 of a row's largest value, at [a-z0-9._]+, where a row of zeros would pass$"
has wide.html 'up to 1\.5 of a row.*, where a row of zeros would pass'
foreign bundle fp32.st gold --relative 1e-5
expect 0 moeparity compare gold fp32.st
has out "^tolerances up to 1e-05 of a row's largest value, at [a-z0-9._]+$"
decode='
import sys; sys.path.insert(0, sys.argv[1])
import foreign as f
taps, _ = f.load("fp32.st")
keep = lambda x: x[:, 3:5] if x.ndim == 3 else x.reshape(3, 5, -1)[:, 3:5].reshape(6, -1)
f.save("decode.st", {k: keep(x) for k, x in taps.items() if k != "input_ids"})
f.save("said.st", {k: keep(x) for k, x in taps.items() if k != "input_ids"}, {"positions": "3:5"})
'
/usr/bin/python3 -B -c "$decode" "$DATA/../cli" || fail decode
expect 0 moeparity compare gold decode.st --positions 3:5
expect 0 moeparity compare gold said.st
has out '^PASS       15 taps'
expect 1 moeparity compare gold decode.st
has out '^  misshapen  decode.st, embed: expected shape \[3,5,60\], found \[3,2,60\]$'
expect 1 moeparity compare gold decode.st --positions 2:4
has out '^FAIL       first at p0.embed, '
refused 2 "\-\-positions: expected a range such as 7:9, found '3'" moeparity compare gold decode.st --positions 3
refused 3 'decode.st: expected positions within 0:5, found 4:6' moeparity compare gold decode.st --positions 4:6
refused 2 "numerics: expected exact, fp64, fp32, .*, found 'int8'" moeparity compare gold decode.st --numerics int8
refused 2 '\-\-numerics: chooses a file of a bundle, fp64.st is none' moeparity compare fp64.st dump --numerics fp32

# bundles and dumps that cannot be used
mkdir empty
refused 3 'empty: expected files \*\.safetensors, found none' moeparity compare gold empty
refused 3 'nowhere: ' moeparity compare gold nowhere
refused 3 'empty: expected fp32.safetensors' moeparity compare empty fp32.st
cp -r gold broken
foreign edit broken/fp32.safetensors p0.layers.0.out.tolerance 'x[:] = np.nan'
expect 1 moeparity compare broken fp32.st
edit broken/fp32.safetensors 'p0.layers.0.out.tolerance' 'p0.layers.0.out.tolerence'
refused 3 "broken/fp32.safetensors: expected the tensor 'p0.layers.0.out.tolerance'" \
    moeparity compare broken fp32.st
echo '{"schema": "moeparity.golden/2"}' >broken/manifest.json
refused 3 "broken/manifest.json: expected schema 'moeparity.golden/3', found 'moeparity.golden/2'" \
    moeparity compare broken fp32.st
echo '{"schema": ' >broken/manifest.json
refused 3 'broken/manifest.json:' moeparity compare broken fp32.st
rm broken/manifest.json
refused 3 'broken/manifest.json: cannot be read' moeparity compare broken fp32.st
