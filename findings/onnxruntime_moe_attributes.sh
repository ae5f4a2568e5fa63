#!/usr/bin/env bash
# ONNX Runtime 1.32.0 on a CPU, operators com.microsoft MoE and QMoE:
#   QMoE  normalize_routing_weights=0 and 1 give the same bits: the weights of the chosen experts always sum to 1.  A model that does not
#         normalise them (OLMoE, Qwen2-MoE) changes its function by being quantised, while MoE obeys the attribute
#   MoE   use_sparse_mixer=1 (Phi-3.5-MoE's router) gives the bits of the plain router
#   MoE   equal scores: the expert with the highest number is chosen, where TopK of the same engine takes the lowest
# What it means: an exported graph that states a router's rule need not compute it; only numbers tell.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

D, F, E, N, K = 32, 64, 4, 6, 2
draw = np.random.default_rng(0)
bytes_up, bytes_down = (draw.integers(0, 256, s).astype(np.uint8) for s in ((E, F, D), (E, D, F)))
up, down = (0.01 * (b.astype(float) - 128) for b in (bytes_up, bytes_down))
x = draw.standard_normal((N, D)).astype(np.float32)


def run(node, weights, feeds, n_out=D, out_type=TensorProto.FLOAT):
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(v.shape)) for n, v in feeds.items()]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", out_type, [N, n_out])],
                              [numpy_helper.from_array(w, name) for name, w in weights.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 10
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run([o.name for o in session.get_outputs()], feeds)
    return outputs[0]


def moe(logits, k, **attributes):
    node = helper.make_node("MoE", ["x", "l", "up", "", "down"], ["y"], domain="com.microsoft", k=k,
                            activation_type="relu", **attributes)
    return run(node, {"up": up.astype(np.float32), "down": down.astype(np.float32)}, {"x": x, "l": logits})


def qmoe(logits, normalised):
    node = helper.make_node("QMoE", ["x", "l", "up", "s_up", "", "down", "s_down"], ["y"], domain="com.microsoft",
                            k=K, activation_type="relu", normalize_routing_weights=normalised, expert_weight_bits=8)
    scales = {"s_up": np.full((E, F), 0.01, np.float32), "s_down": np.full((E, D), 0.01, np.float32)}
    return run(node, {"up": bytes_up, "down": bytes_down, **scales}, {"x": x, "l": logits})


def by_hand(logits, normalised):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    p, y = e / e.sum(-1, keepdims=True), np.zeros((N, D))
    for t in range(N):
        chosen = np.argsort(-p[t])[:K]
        share = p[t, chosen] / (p[t, chosen].sum() if normalised else 1.0)
        for s, i in zip(share, chosen):
            y[t] += s * expert(i)[t]
    return y


def expert(i):
    return np.maximum(x @ up[i].T, 0.0) @ down[i].T


logits = draw.standard_normal((N, E)).astype(np.float32)
off = lambda y, normalised: np.abs(y - by_hand(logits, normalised)).max()
plain, normalised = qmoe(logits, 0), qmoe(logits, 1)
same = np.array_equal(plain, normalised)
print(f"  onnxruntime {ort.__version__}, QMoE: both settings the same bits: {same}; "
      f"off by {off(plain, False):.1e} from what 0 asks for, {off(plain, True):.1e} from what 1 asks for")
obeys = off(moe(logits, K, normalize_routing_weights=0), False) < 1e-4
print(f"  MoE obeys normalize_routing_weights=0: {obeys}")
mixer = np.array_equal(moe(logits, K, normalize_routing_weights=1, use_sparse_mixer=1),
                       moe(logits, K, normalize_routing_weights=1))
print(f"  MoE with use_sparse_mixer=1 gives the bits of the plain router: {mixer}")
equal = np.zeros((N, E), np.float32)
tied = moe(equal, 1)
taken = int(np.argmin([np.abs(tied - expert(i) / E).max() for i in range(E)]))
topk = helper.make_node("TopK", ["l", "k"], ["v", "y"])
first = int(run(topk, {"k": np.array([1])}, {"l": equal}, 1, TensorProto.INT64)[0, 0])
print(f"  {E} equal scores: MoE takes expert {taken}, TopK takes {first}")
sys.exit(0 if same and off(plain, True) < 1e-4 < 1 < off(plain, False) and obeys and mixer
         and taken == E - 1 and first == 0 else 1)
PY
echo "seen: QMoE always normalises, MoE's use_sparse_mixer changes nothing, MoE's ties go to the last expert"
