#!/usr/bin/python3
"""Somebody else's engine: a forward pass in NumPy floats, right or wrong.

    engine.py dump BUNDLE WEIGHTS NUMERICS OUT [--forced layer|block]
              [--sums blas|ascending|descending|pairs|tp] [--eager]
              [--fault NAME]
    engine.py faults        names of the faults, one a line

WEIGHTS is a checkpoint folder: what `golden make --export-weights` adds to a
bundle, or a Hugging Face one of qwen3_moe, deepseek_v3 or gpt_oss.  Written from ref/MODEL.md; nothing
here is shared with moeparity.  --forced feeds the bundle's inputs and shows
them in the dump, as docs/compare.md asks.  A fault that the model cannot show
(a bias where there is none) ends with exit 9.
"""
import argparse
import json
import math
import sys

import numpy as np

import engine_weights
from engine_attention import Attention
from foreign import load, save

f32 = np.float32


# --- arithmetic ---


def bf16(x):
    bits = np.ascontiguousarray(x, dtype=f32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(f32)


class CannotShow(Exception):
    pass


class Engine(Attention):
    bf16 = staticmethod(bf16)

    def __init__(self, bundle, weights, args):
        self.manifest = json.load(open(bundle + "/manifest.json"))
        self.spec = engine_weights.parse(self.manifest["model"]["spec"])
        self.w = engine_weights.read(weights)
        self.golden, _ = load(f"{bundle}/{self.manifest['numerics'][args.numerics]['file']}")
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

    # --- feed-forward ---

    def act(self, z):
        if self.spec["activation"] == "gelu":
            if self.wrong("gelu_tanh"):
                return 0.5 * z * (1 + np.tanh(f32(math.sqrt(2 / math.pi)) * (z + f32(0.044715) * z**3)))
            erf = np.vectorize(math.erf, otypes=[f32])
            return (f32(0.5) * z * (1 + erf(z * f32(math.sqrt(0.5))))).astype(f32)
        steep = (self.spec["activation"] == "clamped_swiglu") != self.wrong("act_kind")
        alpha = self.spec.get("activation_alpha", 1.702) if steep else 1
        return z / (1 + np.exp(f32(-alpha) * z))

    def weight_of(self, name, expert):
        w = self.w[name]
        if expert is None:
            return w
        if expert in (0, 1) and self.wrong("experts_swapped"):
            return self.w[name.replace(f".experts.{expert}.", f".experts.{1 - expert}.")]
        mantissa, exponent = np.frexp(w)
        short = np.ldexp(np.round(mantissa * 16) / 16, exponent).astype(f32)
        if not np.array_equal(short, w) and self.wrong("experts_4_bits"):  # MXFP4 has fewer
            return short
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
        if self.spec["activation"] == "clamped_swiglu":
            limit = f32(self.spec.get("activation_limit", 7))
            gate, up = np.minimum(part(x, "gate_proj"), limit), np.clip(up, -limit, limit)
            inner = self.store((up + 1) * self.kept(self.act(gate)))
        elif self.spec["gated"]:
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

    def eligible(self, score):
        """The experts [N, E] of the best groups of each token."""
        n_group, kept = self.spec["router"].get("groups", 0), self.spec["router"].get("groups_kept", 0)
        if not n_group or self.wrong("groups_ignored"):
            return np.ones(score.shape, bool)
        grouped = score.reshape(len(score), n_group, -1)
        of_group = np.sort(grouped, axis=2)[:, :, -2:].sum(axis=2)
        best = np.argsort(-of_group, axis=1, kind="stable")[:, :kept]
        mask = np.zeros(of_group.shape, bool)
        np.put_along_axis(mask, best, True, axis=1)
        return np.repeat(mask, grouped.shape[2], axis=1)

    def choose(self, at, logits):
        """A token's experts [N, K] and their weights, not yet stored."""
        spec, how = self.spec, self.spec.get("router", {}).get("scores", "softmax")
        n_k = spec["experts_per_token"]
        if how == "softmax_top":
            chosen = np.argsort(-logits, axis=1, kind="stable")[:, :n_k].astype(np.int64)
            best = np.take_along_axis(logits, chosen, axis=1)
            e = np.exp(best - best[:, :1], dtype=f32)
            return chosen, e / e.sum(axis=1, keepdims=True, dtype=f32)
        if how == "sigmoid":
            p = self.store(1 / (1 + np.exp(-logits, dtype=f32)))
            score = p + self.w[at + "gate.e_score_correction_bias"]
            score = p if self.wrong("correction_missing") else score
            score = np.where(self.eligible(score), score, f32(-np.inf))
        else:
            e = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=f32)
            score = p = self.store(e / e.sum(axis=1, keepdims=True, dtype=f32))
        chosen = np.argsort(-score, axis=1, kind="stable")[:, :n_k].astype(np.int64)
        weight = np.take_along_axis(p, chosen, axis=1)
        if spec["renormalise"] and not self.wrong("renormalise_missing"):
            weight = weight / (weight.sum(axis=1, keepdims=True, dtype=f32) + f32(1e-20))
        scale = f32(spec.get("router", {}).get("scale", 1))
        if scale != 1 and self.wrong("routed_scale_missing"):
            scale = f32(1)
        return chosen, weight * scale

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
        chosen, weight = self.choose(at, logits)
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
residual_of_normed weight_missing qk_norm_missing sinks_missing latent_norm_missing
rope_scaling_missing rope_factor_missing groups_ignored correction_missing routed_scale_missing""".split()


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
