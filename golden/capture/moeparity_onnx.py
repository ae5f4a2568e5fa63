"""Runs an ONNX model in ONNX Runtime on a bundle's tokens and writes the dump, for `compare --map onnx`.

    python3 -m moeparity_onnx MODEL.onnx BUNDLE DUMP [--threads N]

The graph is one of onnxruntime-genai's builder, or has its names.  What its norms add up becomes outputs of a copy of the
graph, under the graph's own names; the logits are those of the graph as it is.  The rows of the batch are run one after the
other, each from an empty cache.  Needs onnx, onnxruntime, numpy and safetensors; tried with onnxruntime 1.32.0 and models
of onnxruntime-genai 0.18.0.
"""
from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from safetensors.numpy import load_file, save_file

EMBED = "/model/embed_tokens/Gather/output_0"
LOGITS = "logits"
# The builder's names of norms, and of what a layer's router gives.
NORM = re.compile(r"/model/layers\.(\d+)/(input|operator|post_attention|ffn|final_norm)_(layernorm|norm)/\w+")
BEFORE_FFN = ("post_attention", "ffn")
ROUTER = re.compile(r"/model/layers\.\d+/moe/(router/Reshape/output_0|gate/Reshape/output_0|router/TopK/output_1)")
SUM = 3  # output of a SkipLayerNormalization: its two inputs added up


class DumpError(Exception):
    """One line for the user."""


def sums(graph: onnx.GraphProto) -> dict[str, str]:
    """What each norm adds up, by the name in the dump: the part's output under its own name, and the sum behind a layer,
    which is an output of the norm that follows, as that layer's."""
    found = {}
    for node in graph.node:
        match = NORM.fullmatch(node.name)
        if not match or not node.op_type.startswith("Skip"):
            continue
        layer, kind = int(match[1]), match[2]
        found[node.input[1]] = node.input[1]
        if kind not in BEFORE_FFN:
            while len(node.output) <= SUM:
                node.output.append("")
            node.output[SUM] = node.output[SUM] or node.name + "/sum"
            found[f"/model/layers.{layer - 1}/output_{SUM}"] = node.output[SUM]
        if kind == "final_norm":
            found[node.output[0]] = node.output[0]
    return found


def probed(path: Path) -> tuple[bytes, dict[str, str]]:
    """The model with more outputs, and their names in the graph by those in the dump."""
    model = onnx.load(str(path))
    names = sums(model.graph)
    made = [name for node in model.graph.node for name in node.output]
    names |= {name: name for name in made if name == EMBED or ROUTER.fullmatch(name)}
    if not any(name.endswith(f"/output_{SUM}") for name in names):
        raise DumpError(f"{path}: expected layers as onnxruntime-genai's builder names them, found none")
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names.values() if name not in there)
    return model.SerializeToString(), names


def refused(error: Exception) -> DumpError:
    """Of the binding's own classes, which have no common one."""
    return DumpError(f"expected a model that ONNX Runtime runs, found {str(error).splitlines()[0]}")


def open_session(model: object, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, too
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise refused(error) from error


def run(session: ort.InferenceSession, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        return session.run(names, given)
    except Exception as error:
        raise refused(error) from error


def feeds(session: ort.InferenceSession, tokens: np.ndarray, head_size: int) -> dict[str, np.ndarray]:
    """Inputs of one row: its tokens, and caches without positions, or states of zeros."""
    sizes = {"batch_size": 1, "sequence_length": len(tokens), "total_sequence_length": len(tokens), "kv_cache_dim": head_size}
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(float16)": np.float16}
    given = {"input_ids": tokens[None], "attention_mask": np.ones((1, len(tokens)))}
    out = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else sizes.get(d, 0) for d in value.shape]
        whole = given.get(value.name, np.zeros(shape))
        if value.name == "position_ids":
            whole = np.broadcast_to(np.arange(len(tokens)), shape)
        out[value.name] = whole.astype(kinds[value.type])
    return out


def record(wanted: argparse.Namespace, manifest: dict) -> dict[str, np.ndarray]:
    """All rows' tensors, [rows, positions, columns]; what a row has not, padding, is zero."""
    inputs = load_file(wanted.bundle / manifest["batch"]["file"])
    ids = inputs["p0.input_ids"]
    mask = inputs.get("p0.attention_mask", np.ones_like(ids)).astype(bool)
    head_size = json.loads((wanted.model.parent / "genai_config.json").read_text())["model"]["decoder"]["head_size"]
    model, names = probed(wanted.model)
    served, seen = open_session(str(wanted.model), wanted.threads), open_session(model, wanted.threads)
    out: dict[str, np.ndarray] = {}
    differs = 0.0
    for row, (tokens, real) in enumerate(zip(ids, mask)):
        given = feeds(served, tokens[real], head_size)
        logits = run(served, [LOGITS], given)[0]
        found = dict(zip([LOGITS, *names], run(seen, [LOGITS, *names.values()], given)))
        differs = np.maximum(differs, np.abs(found[LOGITS] - logits).max())
        found[LOGITS] = logits
        for name, x in found.items():
            x = x.reshape(len(given["input_ids"][0]), -1)
            whole = out.setdefault(name, np.zeros((*ids.shape, x.shape[1]), x.dtype))
            whole[row, real] = x
    if differs != 0:
        print(f"moeparity_onnx: logits differ by up to {differs:.2g} where layers are outputs, too; kept are those of the "
              "graph as it is", file=sys.stderr)
    return out


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moeparity_onnx", description=(__doc__ or "").split("\n", 1)[0])
    for name, text in (("model", "ONNX file, genai_config.json beside it"), ("bundle", "of `moeparity golden make`"),
                       ("dump", "folder to write")):
        parser.add_argument(name, type=Path, help=text)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    try:
        manifest = json.loads((wanted.bundle / "manifest.json").read_text())
        about = {"rank": "0", "world": "1", "framework": f"onnxruntime {ort.__version__}",
                 "input_xxh3": manifest["files"][manifest["batch"]["file"]]["xxh3"]}
        tensors = record(wanted, manifest)
        wanted.dump.mkdir(parents=True, exist_ok=True)
        save_file(tensors, wanted.dump / "rank_00000.safetensors", about)
    except (DumpError, OSError) as error:
        print(f"moeparity_onnx: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
