"""hostile.py make FOLDER | scan FILE...: names that a terminal, a page or a report would obey, and whether any of them came through.

make: inputs of every reader, with such names wherever their format allows text.
scan: fails if a file holds a control character, one that turns the direction of writing or is not seen, a byte that is no UTF-8, a line that
begins with a word of ours that only a name holds, or a tag of HTML that only a name holds.
"""
import json
import os
import re
import sys

MARK = "INJECTED"
EVIL = f"e\x1b[31m\u009b2J\u202e\u2066\u200b\n{MARK} all is well\r<b id={MARK}>&\"'\x07"
# What a YAML text may hold, but for this: raw marks of direction.
SHY = f"e\u202e\u200b<b id={MARK}>"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]")


def safetensors(path, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, shape in tensors:
        n = 4
        for dim in shape:
            n *= dim
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + n]}
        data += bytes(n)
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text + data)


def write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as out:
        out.write(text)


def make(folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    names = [(EVIL, [2]), ("layers.0." + EVIL, [1]), ("p0.layers.0.out", [2, 3])]
    safetensors("tensors.safetensors", names, {EVIL: EVIL, "plan": json.dumps({EVIL: 1}), "rank": "0"})
    for key in ("axes", "rank", "plan", "rows", "numerics", "slice:" + EVIL, "forced"):
        safetensors(f"said_{key[:5]}.safetensors", names, {key: EVIL})
    os.makedirs("checkpoint", exist_ok=True)
    shard = "shard" + EVIL.replace("/", "") + ".safetensors"
    safetensors("checkpoint/" + shard, names)
    write("checkpoint/model.safetensors.index.json", json.dumps({"weight_map": {n: shard for n, _ in names}}))
    write("missing/model.safetensors.index.json", json.dumps({"weight_map": {EVIL: EVIL + ".safetensors"}}))
    with open(os.environ["TINY"]) as text:
        good = json.load(text)
    for key, value in [("model_type", EVIL), ("torch_dtype", EVIL), ("dtype", EVIL), (EVIL, EVIL), ("hidden_act", EVIL), ("architectures", [EVIL]),
                       ("_name_or_path", EVIL), ("layer_types", [EVIL]), ("rope_scaling", {"rope_type": EVIL, EVIL: 1}),
                       ("quantization_config", {"quant_method": EVIL}), ("quantization_config", {"quant_method": "fp8", "modules_to_not_convert": [EVIL]})]:
        number = len([f for f in os.listdir(".") if f.startswith("config_")])
        write(f"config_{number}/config.json", json.dumps({**good, key: value}))
    for name, key in (("spec", "name"), ("machine", "machine"), ("claims", "document"), ("map", "prefix"), ("plan", "scope"), ("require", "latency_ms")):
        write(f"{name}_raw.yaml", f"{key}: '{SHY}'\n")
        write(f"{name}_escaped.yaml", f'{key}: "\\e[31m\\n{MARK}"\n')
        write(f"{name}_key.yaml", f"{SHY}: 1\n")
    write("hosts", f"{SHY}\n{SHY}\n")
    write("table.csv", f"{SHY},{SHY}\n")
    write("line.sh", f"vllm serve {SHY} --{SHY} {SHY} --tensor-parallel-size {SHY}\n")
    write("verdicts.json", json.dumps({"schema": EVIL}))
    tick = {"plan": "tp=1", "numerics": EVIL, "pass": EVIL[:40], "rank": 0, "tokens": 1, "choices": 1, "dropped": 0, "experts": [0], "expert_rows": [1],
            "bytes": {}, "at": 1, "seconds": 1, "wait_seconds": 0}
    for number, wrong in enumerate(({}, {"bytes": {EVIL: 1}}, {"rank": EVIL}, {"plan": EVIL})):
        write(f"events_{number}", json.dumps({**tick, "numerics": EVIL[:20], **wrong}) + "\n")
    write("events_9", json.dumps({"progress": 0.5, "step": EVIL[:80], "seconds": 1, "left_seconds": 1}) + "\n")
    write("bundle/manifest.json", json.dumps({"schema": EVIL, "origin": EVIL, "generator": EVIL, "files": {}}))
    bundle = json.load(open(os.environ["BUNDLE"] + "/manifest.json"))
    bundle["generator"] = bundle["model"]["argument"] = EVIL
    bundle["files"] = {}
    write("bundle_argument/manifest.json", json.dumps(bundle))


def scan(paths):
    bad = 0
    for path in paths:
        raw = open(path, "rb").read()
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            print(f"{path}: {error}")
            bad += 1
            continue
        found = [f"U+{ord(c):04X}" for c in FORBIDDEN.findall(text)]
        found += re.findall(f"(?m)^{MARK}.*|<b id=.*", text if not path.endswith((".out", ".err", ".json")) else re.sub("<b id=", "", text))
        if found:
            print(f"{path}: {found[:5]}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(make(sys.argv[2]) if sys.argv[1] == "make" else scan(sys.argv[2:]))
