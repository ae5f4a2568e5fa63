# Figures of logits that people report stand beside the verdict, and are not it:
# against NumPy's, in text, JSON and page, for a dump that passes and one that fails.
expect 0 moeparity golden make -m shadow-a --layers 2 --tokens 3x5 --numerics fp32 -o gold
cat >make.py <<'END'
import json
import sys
sys.path.insert(0, sys.argv[1])
import foreign as f
import numpy as np

taps = {k: v for k, v in f.load("gold/fp32.safetensors")[0].items() if f.is_tap(k)}
a = taps["p0.logits"].reshape(15, -1)
rng = np.random.default_rng(1)


def softmax(x):
    z = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def write(name, b):
    b = b.astype(np.float32)
    f.save(name + ".st", dict(taps, **{"p0.logits": b.reshape(3, 5, -1)}))
    p, q, d = softmax(a), softmax(b), np.abs(a.astype(np.float64) - b)
    kl = (p * np.log(p / q)).sum(axis=1)
    x, y = a.astype(np.float64), b.astype(np.float64)
    angle = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    at = np.unravel_index(d.argmax(), d.shape)
    json.dump({"rows": 15, "kl_mean_nat": kl.mean(), "kl_largest_nat": kl.max(), "cosine_mean": angle.mean(),
               "cosine_smallest": angle.min(), "top1_equal": int((a.argmax(1) == b.argmax(1)).sum()),
               "largest_difference": d.max(), "row": int(at[0]) // 5, "position": int(at[0]) % 5,
               "column": int(at[1])}, open(name + ".json", "w"))


write("noise", a + 0.3 * rng.standard_normal(a.shape))
write("twice", a * 2)
write("same", a)
bad = a + 0.3 * rng.standard_normal(a.shape)
bad[4, 1] = np.nan
f.save("nan.st", dict(taps, **{"p0.logits": bad.astype(np.float32).reshape(3, 5, -1)}))
f.save("none.st", {k: v for k, v in taps.items() if k != "p0.logits"})
END
/usr/bin/python3 -B make.py "$DATA/../cli" || fail make.py

figures() # NAME EXIT: those of compare are NumPy's
{
    expect "$2" moeparity compare gold "$1.st" --json out.json --html out.html
    jq -e --slurpfile want "$1.json" '.logits_not_judged as $have | $want[0] | to_entries
        | all(.key as $k | $have[$k] - .value | fabs < 1e-6 * ($want[0][$k] | fabs) + 1e-12)' out.json >/dev/null ||
        fail "$1: $(jq -c .logits_not_judged out.json) $(jq -c . "$1.json")"
    has out "^logits     KL mean .*; top-1 equal in $(jq .top1_equal "$1.json") of 15 rows; largest difference .* \(not judged by it\)$"
    has out.html "top-1 equal in $(jq .top1_equal "$1.json") of 15 rows"
}
figures same 0
figures twice 1 # though every top-1 is equal
[ "$(jq .top1_equal twice.json)" = 15 ] || fail 'twice'
figures noise 1
[ "$(jq .top1_equal noise.json)" -lt 15 ] || fail 'noise too small to show'
expect 1 moeparity compare gold nan.st --json out.json
has out '^logits     .* of 14 rows; '
jq -e '.logits_not_judged | .rows == 14 and .nonfinite_rows == 1' out.json >/dev/null || fail 'nan'
expect 1 moeparity compare gold none.st --json out.json
! grep -q '^logits  *KL' out || fail 'figures without logits'
jq -e '.logits_not_judged == null' out.json >/dev/null || fail 'none'
