#!/usr/bin/python3
"""Somebody else's engine: a forward pass in NumPy floats, right or wrong.

    engine.py dump BUNDLE WEIGHTS NUMERICS OUT [--forced layer|block]
              [--sums blas|ascending|descending|pairs|tp] [--eager]
              [--fault NAME]
    engine.py faults        names of the faults, one a line

WEIGHTS is a checkpoint folder: what `golden make --export-weights` adds to a
bundle, or a Hugging Face one of qwen3_moe.  Written from ref/MODEL.md; nothing
here is shared with moeparity.  --forced feeds the bundle's inputs and shows
them in the dump, as docs/compare.md asks.  A fault that the model cannot show
(a bias where there is none) ends with exit 9.
"""
import argparse
import json
import math
import sys

import numpy as np

from foreign import load, save

f32 = np.float32


def scalar(text):
    if text.startswith("["):
        return [scalar(t.strip()) for t in text[1:-1].split(",")]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


def parse(yaml):
    """Our spec's YAML: `key: value`, and one level of it below a key."""
    spec, below = {}, None
    for line in yaml.splitlines():
        key, _, value = line.strip().partition(":")
        if line.startswith("  "):
            below[key] = scalar(value.strip())
        elif value.strip():
            spec[key] = scalar(value.strip())
        else:
            below = spec[key] = {}
    return spec


# --- arithmetic ---


def bf16(x):
    bits = np.ascontiguousarray(x, dtype=f32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(f32)


class CannotShow(Exception):
    pass


class Engine:
    def __init__(self, bundle, weights, args):
        self.manifest = json.load(open(bundle + "/manifest.json"))
        self.spec = parse(self.manifest["model"]["spec"])
        self.w = {k: v.astype(f32) for k, v in load(weights + "/model.safetensors")[0].items()}
        self.golden, _ = load(f"{bundle}/{args.numerics}.safetensors")
        self.ids = load(bundle + "/input.safetensors")[0]["p0.input_ids"]
        self.half = args.numerics == "bf16"
        if self.half:
            self.w = {k: bf16(v) for k, v in self.w.items()}
        self.args, self.fault, self.shown = args, args.fault, False
        self.taps, self.fed = {}, {}

    def store(self, x):
        return bf16(x) if self.half else np.asarray(x, f32)

    def kept(self, x):
        return self.store(x) if self.args.eager else x

    def wrong(self, name):
        """Is this the fault to make?  Asking for it shows it."""
        if self.fault == name:
            self.shown = True
            return True
        return False

    def product(self, x, w, split=False):
        """x [n, K] w [m, K], in the order of --sums; split: a tensor group's sum."""
        x, w = np.ascontiguousarray(x, f32), np.ascontiguousarray(w, f32)
        how, k = self.args.sums, x.shape[1]
        if self.wrong("fp16_sums"):
            half = [(x[:, s] @ w[:, s].T).astype(np.float16) for s in (slice(0, k // 2), slice(k // 2, k))]
            return (half[0] + half[1]).astype(f32)
        if how == "tp" and split:
            return self.store(x[:, : k // 2] @ w[:, : k // 2].T) + self.store(x[:, k // 2 :] @ w[:, k // 2 :].T)
        if how == "pairs":
            if k <= 4:
                return x @ w.T
            return self.product(x[:, : k // 2], w[:, : k // 2]) + self.product(x[:, k // 2 :], w[:, k // 2 :])
        if how in ("ascending", "descending"):
            y = np.zeros((x.shape[0], w.shape[0]), f32)
            for i in range(k) if how == "ascending" else reversed(range(k)):
                y += x[:, i : i + 1] * w[None, :, i]
            return y
        return x @ w.T

    def linear(self, x, name, bias=True):
        y = self.product(x, self.w[name + ".weight"])
        if bias and name + ".bias" in self.w:
            y = y + self.w[name + ".bias"]
        return self.store(y)

    def norm(self, x, w, eps):
        if self.wrong("eps"):
            eps = eps / 10 if eps > 5e-6 else eps * 10
        r = f32(1) / np.sqrt((x * x).mean(axis=-1, keepdims=True, dtype=f32) + f32(eps))
        y = self.kept(x * r)
        return self.store(y * w)

    def put(self, name, x):
        self.taps[name] = x

    def feed(self, name, own, level):
        """The bundle's tensor in place of our own, if --forced reaches so far."""
        if self.args.forced == "block" or self.args.forced == level:
            self.fed[name] = self.golden["p0." + name]
            return self.fed[name].reshape(own.shape).astype(f32)
        return own

    # --- attention ---

    def table(self, n_t):
        spec, rope = self.spec, self.spec["rope"]
        n = spec["head_size"]
        theta = rope["theta"]
        if self.wrong("rope_theta"):
            theta *= 2
        inverse = (1 / (theta ** (np.arange(0, n, 2, dtype=f32) / f32(n)))).astype(f32)
        if rope["scaling"] == "llama3":
            wave = f32(2 * np.pi) / inverse
            low, high, full = rope["low_freq"], rope["high_freq"], rope["original_positions"]
            smooth = (f32(full) / wave - f32(low)) / f32(high - low)
            mixed = (1 - smooth) * inverse / f32(rope["factor"]) + smooth * inverse
            inverse = np.where(wave < full / high, inverse, np.where(wave > full / low, inverse / f32(rope["factor"]), mixed))
        angle = np.arange(n_t, dtype=f32)[:, None] * inverse.astype(f32)
        return np.cos(angle).astype(f32), np.sin(angle).astype(f32)

    def rope(self, x, shift=0):
        """x [B, T, heads, Dh]"""
        n_t, half = x.shape[1], x.shape[-1] // 2
        cos, sin = self.table(n_t + shift)
        cos, sin = cos[shift:, None], sin[shift:, None]
        if self.args.eager or self.half:
            cos, sin = self.store(cos), self.store(sin)
        if self.wrong("rope_interleaved"):
            a, b = x[..., 0::2], x[..., 1::2]
            y = np.empty_like(x)
            y[..., 0::2], y[..., 1::2] = a * cos - b * sin, b * cos + a * sin
            return self.store(y)
        a, b = x[..., :half], x[..., half:]
        return self.store(np.concatenate(
            [self.kept(a * cos) - self.kept(b * sin), self.kept(b * cos) + self.kept(a * sin)], axis=-1))

    def attention(self, layer, xn):
        spec, at = self.spec, f"model.layers.{layer}.self_attn."
        n_b, n_t = self.ids.shape
        n_h, n_g, n = spec["heads"], spec["kv_heads"], spec["head_size"]
        q = self.linear(xn, at + "q_proj").reshape(n_b, n_t, n_h, n)
        k = self.linear(xn, at + "k_proj").reshape(n_b, n_t, n_g, n)
        v = self.linear(xn, at + "v_proj").reshape(n_b, n_t, n_g, n)
        if at + "q_norm.weight" in self.w and not self.wrong("qk_norm_missing"):
            q = self.norm(q, self.w[at + "q_norm.weight"], spec["norm_eps"])
            k = self.norm(k, self.w[at + "k_norm.weight"], spec["norm_eps"])
        q = self.rope(q, 1 if self.wrong("q_shifted") else 0)
        k = k if self.wrong("rope_of_k_missing") else self.rope(k)
        group = [h * n_g // n_h for h in range(n_h)]
        if n_g not in (1, n_h) and self.wrong("kv_map"):
            group = [h % n_g for h in range(n_h)]
        scale = f32(1 / math.sqrt(n))
        scale = f32(1) if self.wrong("scale_missing") else scale * scale if self.wrong("scale_twice") else scale
        i, j = np.arange(n_t)[:, None], np.arange(n_t)[None, :]
        seen = j <= i + (1 if self.wrong("mask_off_by_one") else 0)
        window = spec.get("sliding_window", 0)
        if window > 0 and not (window < n_t and self.wrong("window_missing")):
            seen &= i - j < window
        out = np.empty((n_b, n_t, n_h, n), f32)
        for b in range(n_b):
            for h in range(n_h):
                s = np.where(seen, self.product(q[b, :, h], k[b, :, group[h]]) * scale, f32(-np.inf))
                e = np.exp(s - s.max(axis=1, keepdims=True), dtype=f32)
                if self.wrong("bf16_exponentials"):
                    e = bf16(e)
                total = e.sum(axis=1, keepdims=True, dtype=f32)
                p = self.store(e / total)
                out[b, :, h] = self.store(p @ v[b, :, group[h]])
        out = out.reshape(n_b * n_t, n_h * n)
        if self.wrong("heads_transposed"):
            out = out.reshape(-1, n_h, n).transpose(0, 2, 1).reshape(out.shape)
        y = self.product(out, self.w[at + "o_proj.weight"], split=True)
        if self.wrong("tp_shard_twice"):
            first = out.shape[1] // 4
            y = y + self.product(out[:, :first], self.w[at + "o_proj.weight"][:, :first])
        if at + "o_proj.bias" in self.w:
            bias = self.w[at + "o_proj.bias"]
            y = y + (2 * bias if self.wrong("bias_twice") else bias)
        return self.store(y)

    # --- feed-forward ---

    def act(self, z):
        if self.spec["activation"] == "gelu":
            if self.wrong("gelu_tanh"):
                return 0.5 * z * (1 + np.tanh(f32(math.sqrt(2 / math.pi)) * (z + f32(0.044715) * z**3)))
            erf = np.vectorize(math.erf, otypes=[f32])
            return (f32(0.5) * z * (1 + erf(z * f32(math.sqrt(0.5))))).astype(f32)
        if self.wrong("act_kind"):
            return z / (1 + np.exp(f32(-1.702) * z))
        return z / (1 + np.exp(-z))

    def weight_of(self, name, expert):
        w = self.w[name]
        if expert is None:
            return w
        if expert in (0, 1) and self.wrong("experts_swapped"):
            return self.w[name.replace(f".experts.{expert}.", f".experts.{1 - expert}.")]
        if self.wrong("experts_4_bits"):
            mantissa, exponent = np.frexp(w)
            return np.ldexp(np.round(mantissa * 16) / 16, exponent).astype(f32)
        for share in (1, 10):
            if expert == self.busiest and ".down_proj" in name and self.wrong(f"expert_row_{share}_percent"):
                w = w.copy()
                w[7] *= f32(1 + share / 100)
        return w

    def mlp(self, x, at, expert=None):
        def part(y, name):
            y = self.product(y, self.weight_of(at + name + ".weight", expert), name == "down_proj")
            return self.store(y + self.w[at + name + ".bias"] if at + name + ".bias" in self.w else y)

        up = part(x, "up_proj")
        if self.spec["gated"]:
            inner = self.store(self.kept(self.act(part(x, "gate_proj"))) * up)
        else:
            inner = self.store(self.act(up))
        return part(inner, "down_proj")

    def slots(self, chosen, weight):
        """Which choices [N, K] found a slot."""
        spec, rule = self.spec, self.spec["capacity"]
        kept = np.ones(chosen.shape, bool)
        if rule["rule"] == "none":
            return kept
        n_t, first = self.ids.shape[1], self.manifest["token_groups"]
        by_weight = rule["priority"] == "prob"
        if self.wrong("drop_priority"):
            by_weight = not by_weight
        if self.wrong("dropped_kept"):
            return kept
        for g in range(len(first) - 1):
            rows = range(first[g] * n_t, first[g + 1] * n_t)
            room = len(rows) * chosen.shape[1] / spec["experts"] * rule["factor"]
            room = math.floor(room) if self.wrong("capacity_floor") else math.ceil(room)
            for e in range(spec["experts"]):
                claims = [(t, k) for t in rows for k in range(chosen.shape[1]) if chosen[t, k] == e]
                if by_weight:
                    claims.sort(key=lambda c: (-weight[c], c))
                for c in claims[room:]:
                    kept[c] = False
        return kept

    def moe(self, layer, xn):
        spec, at = self.spec, f"model.layers.{layer}.mlp."
        n_k = spec["experts_per_token"]
        router = self.w[at + "gate.weight"]
        x = xn
        if not self.half and self.wrong("router_bf16"):
            x, router = bf16(xn), bf16(router)
        logits = self.product(x, router)
        if at + "gate.bias" in self.w:
            logits = logits + self.w[at + "gate.bias"]
        logits = self.store(logits)
        e = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=f32)
        p = self.store(e / e.sum(axis=1, keepdims=True, dtype=f32))
        chosen = np.argsort(-p, axis=1, kind="stable")[:, :n_k].astype(np.int64)
        weight = np.take_along_axis(p, chosen, axis=1)
        if spec["renormalise"] and not self.wrong("renormalise_missing"):
            weight = weight / weight.sum(axis=1, keepdims=True, dtype=f32)
        weight = self.store(weight)
        self.put(f"layers.{layer}.router_logits", logits)
        self.put(f"layers.{layer}.topk_idx", chosen)
        self.put(f"layers.{layer}.topk_weight", weight)
        kept = self.slots(chosen, weight)
        self.busiest = int(np.bincount(chosen[kept], minlength=spec["experts"]).argmax())
        out = np.zeros_like(xn)
        for k in range(n_k) if self.args.sums != "descending" else reversed(range(n_k)):
            for expert in np.unique(chosen[:, k]):
                rows = np.nonzero((chosen[:, k] == expert) & kept[:, k])[0]
                if len(rows) == 0:
                    continue
                y = self.mlp(xn[rows], f"{at}experts.{expert}.", expert)
                w = weight[rows, k : k + 1]
                if self.wrong("weight_missing"):
                    w = f32(1)
                out[rows] = self.kept(out[rows] + self.kept(w * y))
        out = self.store(out)
        shared = at + "shared_expert."
        if shared + "up_proj.weight" in self.w and not self.wrong("shared_missing"):
            y = self.mlp(xn, shared)
            out = self.store(out + (2 * y if self.wrong("shared_twice") else y))
        return out

    # --- the whole ---

    def layer(self, layer, x):
        spec, at = self.spec, f"model.layers.{layer}."
        xn = self.norm(x, self.w[at + "input_layernorm.weight"], spec["norm_eps"])
        self.put(f"layers.{layer}.attn.norm", xn)
        xn = self.feed(f"layers.{layer}.attn.norm", xn, "block")
        r = self.attention(layer, xn)
        self.put(f"layers.{layer}.attn_out", r)
        if self.wrong("residual_of_normed"):
            x = xn
        x = self.store(x + r)
        xn = self.norm(x, self.w[at + "post_attention_layernorm.weight"], spec["norm_eps"])
        self.put(f"layers.{layer}.ffn.norm", xn)
        xn = self.feed(f"layers.{layer}.ffn.norm", xn, "block")
        is_moe = at + "mlp.gate.weight" in self.w
        r = self.moe(layer, xn) if is_moe else self.mlp(xn, at + "mlp.")
        if layer > 0 and self.wrong("stale_row"):
            r = r.copy()
            r[1] = r[0]
        self.put(f"layers.{layer}.ffn_out", r)
        return self.store(x + r)

    def run(self):
        ids = self.ids.reshape(-1)
        embed = self.w["model.embed_tokens.weight"]
        if self.wrong("vocabulary_shifted"):
            ids = (ids + 1) % len(embed)
        x, before = self.store(embed[ids]), "embed"
        self.put("embed", x)
        for layer in range(self.manifest["model"]["layers"]):
            x = self.layer(layer, self.feed(before, x, "layer"))
            before = f"layers.{layer}.out"
            self.put(before, x)
        x = self.feed(before, x, "layer")
        w = self.w["model.norm.weight"]
        x = self.norm(x, np.ones_like(w) if self.wrong("final_norm_missing") else w, self.spec["norm_eps"])
        self.put("final_norm", x)
        x = self.feed("final_norm", x, "block")
        head = embed if self.spec["tied_head"] else self.w["lm_head.weight"]
        logits = self.product(x, head)
        self.put("logits", self.store(np.roll(logits, 1, axis=1) if self.wrong("logits_shifted") else logits))

    def dump(self, path):
        self.run()
        if self.fault and not self.shown:
            raise CannotShow
        n_b, n_t = self.ids.shape
        shaped = {}
        for name, x in self.taps.items():
            flat = "router" in name or "topk" in name
            shaped["p0." + name] = x if flat else x.reshape(n_b, n_t, -1)
        shaped.update({"p0.fed/" + name: x for name, x in self.fed.items()})
        metadata = {"numerics": self.args.numerics}
        if self.args.forced:
            file = self.manifest["files"][self.args.numerics + ".safetensors"]
            metadata.update(forced=self.args.forced, forced_with=file["xxh3"])
        save(path, shaped, metadata, dtype="F32")


NAMES = """heads_transposed kv_map experts_swapped router_bf16 scale_missing scale_twice rope_theta
rope_interleaved q_shifted rope_of_k_missing gelu_tanh act_kind eps capacity_floor drop_priority
dropped_kept renormalise_missing tp_shard_twice bias_twice expert_row_1_percent
expert_row_10_percent fp16_sums bf16_exponentials experts_4_bits final_norm_missing mask_off_by_one
window_missing vocabulary_shifted logits_shifted shared_twice shared_missing stale_row
residual_of_normed weight_missing qk_norm_missing""".split()


def main():
    parser = argparse.ArgumentParser()
    sub = parser.add_subparsers(dest="command", required=True)
    sub.add_parser("faults")
    p = sub.add_parser("dump")
    for name in ("bundle", "weights", "numerics", "out"):
        p.add_argument(name)
    p.add_argument("--forced", choices=["layer", "block"])
    p.add_argument("--sums", default="blas", choices=["blas", "ascending", "descending", "pairs", "tp"])
    p.add_argument("--eager", action="store_true")
    p.add_argument("--fault", choices=NAMES)
    args = parser.parse_args()
    if args.command == "faults":
        print("\n".join(NAMES))
        return
    try:
        Engine(args.bundle, args.weights, args).dump(args.out)
    except CannotShow:
        sys.exit(9)


if __name__ == "__main__":
    main()
