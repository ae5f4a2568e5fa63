#!/usr/bin/python3
"""Read a golden bundle with NumPy and judge dumps by it.

    golden_reader.py show BUNDLE                  are its files what it says?
    golden_reader.py judge BUNDLE NUMERICS DUMP   every tap row within its tolerance?
    golden_reader.py spoil BUNDLE NUMERICS DUMP   are planted errors seen?
    golden_reader.py equal BUNDLE NUMERICS DUMP   every tap the same numbers?

A reader of the format from its page alone (docs/golden.md): nothing here is
shared with moeparity.  Exit 1 with a line if something does not hold.
"""
import json
import sys

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8"}


def read(path):
    """Tensors by name: 8 bytes header length, JSON header, raw data."""
    raw = open(path, "rb").read()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = np.frombuffer(raw[8 + n + begin : 8 + n + end], DTYPES[entry["dtype"]])
        tensors[name] = data.reshape(entry["shape"])
    return tensors


def require(condition, text):
    if not condition:
        sys.exit("golden_reader: " + text)


SPARE = ("attn.norm", "ffn.norm")  # there to be fed: a coarse dump need not hold them


def taps_of(golden, dump=None):
    """Names of the taps that have a tolerance; a spare one only if it is dumped."""
    taps = [n for n in golden if n + ".tolerance" in golden]
    return [n for n in taps if dump is None or n in dump or not n.endswith(SPARE)]


def worst(golden, dump, tap):
    """Largest error over its row's tolerances; infinite for anything not finite."""
    return max(ratio_of(golden, dump, tap, kind) for kind in ("tolerance", "rms_tolerance"))


def ratio_of(golden, dump, tap, kind):
    """The same of the row's largest element, or of its root mean square."""
    tolerance = golden[f"{tap}.{kind}"].astype(float)
    a = golden[tap].astype(float).reshape(len(tolerance), -1)
    b = dump[tap].astype(float).reshape(len(tolerance), -1)
    error = np.abs(a - b).max(axis=1) if kind == "tolerance" else np.sqrt(((a - b) ** 2).mean(axis=1))
    within = error <= tolerance
    ratio = np.divide(error, tolerance, out=np.full_like(error, np.inf), where=tolerance > 0)
    ratio[(tolerance == 0) & (error == 0)] = 0.0
    return np.inf if not within.all() and not ratio.max() > 1 else ratio.max()


def same_routing(golden, dump):
    for name in golden:
        if name.endswith("topk_idx"):
            require(np.array_equal(golden[name], dump[name]), name + " differs")


def judge(golden, dump):
    same_routing(golden, dump)
    ratios = {tap: worst(golden, dump, tap) for tap in taps_of(golden, dump)}
    tap = max(ratios, key=ratios.get)
    print(f"{len(ratios)} taps, worst {ratios[tap]:.4f} of its tolerance, at {tap}")
    require(len(ratios) > 0 and ratios[tap] <= 1, f"{tap} is out of its tolerance")


def spoil(golden, dump):
    """A factor of two, one wrong row, one NaN: at every tap, each must be seen."""
    for tap in taps_of(golden, dump):
        require(worst(golden, dump, tap) <= 1, f"{tap}: the dump itself is not within")
        rows = golden[tap + ".tolerance"].size
        for kind in ("twice", "row", "nan"):
            wrong = dump[tap].copy().reshape(rows, -1)
            if kind == "twice":
                wrong *= 2
            elif kind == "row":
                wrong[rows // 2] = dump[tap].reshape(rows, -1)[rows // 2 - 1]
            else:
                wrong[rows // 2, -1] = np.nan
            if np.array_equal(wrong, dump[tap].reshape(rows, -1)):
                continue  # two tokens that are alike
            require(not worst(golden, {tap: wrong}, tap) <= 1, f"{tap}: {kind} is not seen")
    print(f"{len(taps_of(golden, dump))} taps: a factor of two, a wrong row and a NaN are seen")


def equal(golden, dump):
    taps = [n for n in golden if not n.endswith(("tolerance", "routing_margin") + SPARE)]
    require(len(taps) > 0, "no taps")
    for tap in taps:
        a, b = golden[tap], dump[tap]
        require(a.shape == b.shape and np.array_equal(a.astype(b.dtype), b), tap + " differs")
    print(f"{len(taps)} taps are equal")


def show(folder):
    manifest = json.load(open(folder + "/manifest.json"))
    require(manifest["schema"] == "moeparity.golden/3", "schema " + manifest["schema"])
    files = {e["file"]: n for n, e in manifest["numerics"].items()}
    for file in ["input.safetensors"] + sorted(files):
        tensors = read(f"{folder}/{file}")
        listed = manifest["files"][file]["tensors"]
        require(set(tensors) == set(listed), file + ": other tensors than the manifest's")
        for name, t in tensors.items():
            require(list(t.shape) == listed[name]["shape"], f"{file}: shape of {name}")
        print(file, len(tensors), "tensors")
    return manifest


if __name__ == "__main__":
    command, folder = sys.argv[1:3]
    if command == "show":
        show(folder)
    else:
        golden, dump = read(f"{folder}/{sys.argv[3]}.safetensors"), read(sys.argv[4])
        {"judge": judge, "spoil": spoil, "equal": equal}[command](golden, dump)
