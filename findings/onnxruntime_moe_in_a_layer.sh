#!/usr/bin/env bash
# A layer of an MoE model in ONNX: norm, router, com.microsoft MoE, residual.  With ONNX Runtime 1.30.0 on a CPU and routing weights that
# are not normalised again (the attribute's default, and what OLMoE or Qwen2-MoE need) the layer's output IS its input, bit for bit: the
# experts add nothing, and nothing warns.  The same operator is right when its output is made an output of the graph, so whoever adds a
# probe to look for the fault sees it vanish; and it is right with normalize_routing_weights=1.  1.32.0 computes all four cases.
# What it means: compare a model's output, not an operator's; a golden of a layer finds this at once, a unit test of the operator never.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
cat >"$folder/layer.py" <<'PY'
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

D, F, E, N, K = 8, 16, 4, 6, 2  # hidden, inner, experts, tokens, chosen
draw = np.random.default_rng(0)
up = draw.standard_normal((E, F, D)) * 0.3
down = draw.standard_normal((E, D, F)) * 0.3
router = draw.standard_normal((D, E))
x = draw.standard_normal((N, D)).astype(np.float32)


def engine(normalised, is_probed):
    weights = {"up": up, "down": down, "router": router, "one": np.ones(D), "zero": np.zeros(D)}
    nodes = [
        helper.make_node("LayerNormalization", ["x", "one", "zero"], ["n"], axis=-1, epsilon=1e-5),
        helper.make_node("MatMul", ["n", "router"], ["logits"]),
        helper.make_node("MoE", ["n", "logits", "up", "", "down"], ["moe"], domain="com.microsoft", k=K,
                         activation_type="relu", normalize_routing_weights=normalised),
        helper.make_node("Add", ["x", "moe"], ["y"]),
    ]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [N, D])
    graph = helper.make_graph(nodes, "layer", [value("x")], [value("y")] + [value("moe")] * is_probed,
                              [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 10
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def by_hand(normalised):
    n = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    e = np.exp(n @ router)
    p = e / e.sum(-1, keepdims=True)
    y = x.astype(float)
    for t in range(N):
        chosen = np.argsort(-p[t])[:K]
        share = p[t, chosen] / (p[t, chosen].sum() if normalised else 1.0)
        for s, i in zip(share, chosen):
            y[t] += s * (down[i] @ np.maximum(up[i] @ n[t], 0.0))
    return y


seen = []
for normalised in (0, 1):
    for is_probed in (False, True):
        y = engine(normalised, is_probed)
        error = np.abs(y - by_hand(normalised)).max()
        is_right, is_input = error < 1e-5, np.array_equal(y, x)
        print(f"  onnxruntime {ort.__version__}, normalised {normalised}, probed {int(is_probed)}: "
              f"off by {error:.1e}{', output equals input' if is_input else ''}")
        seen.append("right" if is_right else "input" if is_input else "other")
sys.exit(0 if seen == sys.argv[1:] else 1)
PY
changed=0
for version in 1.30.0 1.32.0; do
    "$folder/bin/pip" install --quiet onnx==1.23.2 onnxruntime==$version numpy
    first=right
    [ $version = 1.32.0 ] || first=input
    "$folder/bin/python" "$folder/layer.py" $first right right right || changed=1
done
[ $changed = 0 ] || { echo "the behaviour has changed" >&2; exit 1; }
echo "seen: in 1.30.0 the experts of a layer add nothing unless their output is probed or normalised; in 1.32.0 they are right"
