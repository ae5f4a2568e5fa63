# An honest run whose experts are summed in bf16 loses bits and no values: it is
# PRECISION, with the tap and the bits; a factor of the same size is wrong.
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 6x11 --numerics fp32 -o gold
cat >make.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

taps = {k: v for k, v in f.load("gold/fp32.safetensors")[0].items() if f.is_tap(k)}
name = "p0.layers.1.ffn_out"
x = taps[name]
bf16 = (f.to_bf16(x).astype(np.uint32) << 16).view(np.float32).reshape(x.shape)
f.save("sums.st", dict(taps, **{name: bf16}))
f.save("factor.st", dict(taps, **{name: x * np.float32(1.003)}))
other = taps["p0.logits"].copy()
other[3, 4, 5] += 1
f.save("both.st", dict(taps, **{name: bf16, "p0.logits": other}))
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py
expect 1 moeparity compare gold sums.st --json out.json --html out.html --junit out.xml
has out '^  PRECISION  p0.layers.1.ffn_out: [0-9]+ of 66 rows, by errors like rounding to about 8 bits'
has out '^PRECISION  first at p0.layers.1.ffn_out, '
has out.html '<h1>PRECISION</h1>'
has out.xml 'PRECISION'
jq -e '.verdict == "PRECISION" and .exit == 1 and .first.verdict == "PRECISION"
       and (.first.bits | . > 7.5 and . < 8.5)' out.json >/dev/null || fail "$(jq -c .first out.json)"
expect 1 moeparity compare gold factor.st --json out.json
has out '^FAIL       first at p0.layers.1.ffn_out, '
jq -e '.verdict == "FAIL" and .first.bits == null' out.json >/dev/null || fail 'factor'
expect 1 moeparity compare gold both.st
has out '^  PRECISION  p0.layers.1.ffn_out'
has out '^  FAIL  p0.logits'
has out '^FAIL       first at p0.layers.1.ffn_out, '
