"""Attention of the tests' engine: grouped, or with latent keys and values."""
import math

import numpy as np

f32 = np.float32


def yarn(inverse, theta, rope, n):
    """Waves longer than the original positions are stretched by the factor."""
    def turns(r):
        return n * math.log(rope["original_positions"] / (2 * math.pi * r)) / (2 * math.log(theta))

    low, high = turns(rope["beta_fast"]), turns(rope["beta_slow"])
    if rope["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, n - 1)
    high += 0.001 if high == low else 0
    ramp = np.clip((np.arange(n // 2, dtype=f32) - f32(low)) / f32(high - low), 0, 1).astype(f32)
    return inverse / f32(rope["factor"]) * ramp + inverse * (1 - ramp)


def llama3(inverse, rope):
    wave = f32(2 * np.pi) / inverse
    low, high, full = rope["low_freq"], rope["high_freq"], rope["original_positions"]
    smooth = (f32(full) / wave - f32(low)) / f32(high - low)
    mixed = (1 - smooth) * inverse / f32(rope["factor"]) + smooth * inverse
    return np.where(wave < full / high, inverse, np.where(wave > full / low, inverse / f32(rope["factor"]), mixed))


class Attention:
    """Of the engine that it is mixed into: store, kept, norm, linear, product."""

    def table(self, n_t, n):
        rope = self.spec["rope"]
        theta = rope["theta"]
        if self.wrong("rope_theta"):
            theta *= 2
        inverse = (1 / (theta ** (np.arange(0, n, 2, dtype=f32) / f32(n)))).astype(f32)
        if rope["scaling"] != "plain" and self.wrong("rope_scaling_missing"):
            pass
        elif rope["scaling"] == "llama3":
            inverse = llama3(inverse, rope)
        elif rope["scaling"] == "yarn":
            inverse = yarn(inverse, theta, rope, n)
        angle = np.arange(n_t, dtype=f32)[:, None] * inverse.astype(f32)
        factor = f32(rope.get("attention_factor", 1))
        if factor != 1 and self.wrong("rope_factor_missing"):
            factor = f32(1)
        return np.cos(angle).astype(f32) * factor, np.sin(angle).astype(f32) * factor

    def rope(self, x, shift=0):
        """x [B, T, heads, Dr]"""
        n_t, half = x.shape[1], x.shape[-1] // 2
        cos, sin = self.table(n_t + shift, x.shape[-1])
        cos, sin = cos[shift:, None], sin[shift:, None]
        if self.args.eager or self.half:
            cos, sin = self.store(cos), self.store(sin)
        pairs = bool(self.spec["rope"].get("interleaved")) != self.wrong("rope_interleaved")
        a, b = (x[..., 0::2], x[..., 1::2]) if pairs else (x[..., :half], x[..., half:])
        a, b = self.kept(a * cos) - self.kept(b * sin), self.kept(b * cos) + self.kept(a * sin)
        y = np.stack([a, b], axis=-1).reshape(x.shape) if pairs else np.concatenate([a, b], axis=-1)
        return self.store(y)

    def rope_qk(self, q, k):
        q = self.rope(q, 1 if self.wrong("q_shifted") else 0)
        return q, k if self.wrong("rope_of_k_missing") else self.rope(k)

    def grouped(self, at, xn):
        """q [B, T, H, Dh]; k, v [B, T, G, Dh]"""
        spec, (n_b, n_t) = self.spec, self.ids.shape
        n = spec["head_size"]
        q = self.linear(xn, at + "q_proj").reshape(n_b, n_t, spec["heads"], n)
        k = self.linear(xn, at + "k_proj").reshape(n_b, n_t, spec["kv_heads"], n)
        v = self.linear(xn, at + "v_proj").reshape(n_b, n_t, spec["kv_heads"], n)
        if at + "q_norm.weight" in self.w and not self.wrong("qk_norm_missing"):
            q = self.norm(q, self.w[at + "q_norm.weight"], spec["norm_eps"])
            k = self.norm(k, self.w[at + "k_norm.weight"], spec["norm_eps"])
        return *self.rope_qk(q, k), v

    def latent(self, at, xn):
        """The same where q and kv go through a narrow space; eps is 1e-6 there."""
        spec, (n_b, n_t) = self.spec, self.ids.shape
        n_h, n_r, n_kv = spec["heads"], spec["rotated"], spec["latent"]["kv_rank"]
        n_k = spec["head_size"] - n_r
        narrow = self.linear(xn, at + "q_a_proj")
        if not self.wrong("latent_norm_missing"):
            narrow = self.norm(narrow, self.w[at + "q_a_layernorm.weight"], 1e-6)
        q = self.linear(narrow, at + "q_b_proj").reshape(n_b, n_t, n_h, -1)
        narrow = self.linear(xn, at + "kv_a_proj_with_mqa")
        k_rope = narrow[:, n_kv:].reshape(n_b, n_t, 1, n_r)
        narrow = self.norm(narrow[:, :n_kv], self.w[at + "kv_a_layernorm.weight"], 1e-6)
        kv = self.linear(narrow, at + "kv_b_proj").reshape(n_b, n_t, n_h, -1)
        q_rope, k_rope = self.rope_qk(q[..., n_k:], k_rope)
        q = np.concatenate([q[..., :n_k], q_rope], axis=-1)
        k = np.concatenate([kv[..., :n_k], np.broadcast_to(k_rope, (n_b, n_t, n_h, n_r))], axis=-1)
        return q, k, kv[..., n_k:]

    def seen(self, layer, n_t):
        """Which keys [query, key]."""
        i, j = np.arange(n_t)[:, None], np.arange(n_t)[None, :]
        seen = j <= i + (1 if self.wrong("mask_off_by_one") else 0)
        span = self.spec.get("span", "window")
        if not isinstance(span, str):
            span = span[layer]
        window = self.spec.get("sliding_window", 0) if span == "window" else 0
        if window > 0 and not (window < n_t and self.wrong("window_missing")):
            seen &= i - j < window
        return seen

    def probabilities(self, s, sink):
        """s [T, T] scores, -inf where unseen; sink: a score that takes its share, or None."""
        most = s.max(axis=1, keepdims=True)
        most = most if sink is None else np.maximum(most, sink)
        e = np.exp(s - most, dtype=f32)
        if self.wrong("bf16_exponentials"):
            e = self.bf16(e)
        total = e.sum(axis=1, keepdims=True, dtype=f32)
        return self.store(e / (total if sink is None else total + np.exp(sink - most, dtype=f32)))

    def mix(self, p, v):
        """p [T, T], v [T, Dv]"""
        return p @ v

    def score_scale(self):
        scale = f32(self.spec.get("attention", {}).get("scale", 1 / math.sqrt(self.spec["head_size"])))
        return f32(1) if self.wrong("scale_missing") else scale * scale if self.wrong("scale_twice") else scale

    def attention(self, layer, xn):
        at = f"model.layers.{layer}.self_attn."
        n_b, n_t = self.ids.shape
        q, k, v = self.latent(at, xn) if "latent" in self.spec else self.grouped(at, xn)
        n_h, n_g, n = q.shape[2], k.shape[2], v.shape[3]
        group = [h * n_g // n_h for h in range(n_h)]
        if n_g not in (1, n_h) and self.wrong("kv_map"):
            group = [h % n_g for h in range(n_h)]
        scale, seen = self.score_scale(), self.seen(layer, n_t)
        sinks = self.w.get(at + "sinks")
        if sinks is not None and self.wrong("sinks_missing"):
            sinks = None
        out = np.empty((n_b, n_t, n_h, n), f32)
        for b in range(n_b):
            for h in range(n_h):
                s = np.where(seen, self.product(q[b, :, h], k[b, :, group[h]]) * scale, f32(-np.inf))
                p = self.probabilities(s, None if sinks is None else sinks[h])
                out[b, :, h] = self.store(self.mix(p, v[b, :, group[h]]))
        out = out.reshape(n_b * n_t, n_h * n)
        if self.wrong("heads_transposed"):
            out = out.reshape(-1, n_h, n).transpose(0, 2, 1).reshape(out.shape)
        return self.output(at, out)

    def output(self, at, out):
        y = self.product(out, self.w[at + "o_proj.weight"], split=True)
        if self.wrong("tp_shard_twice"):
            first = out.shape[1] // 4
            y = y + self.product(out[:, :first], self.w[at + "o_proj.weight"][:, :first])
        if at + "o_proj.bias" in self.w:
            bias = self.w[at + "o_proj.bias"]
            y = y + (2 * bias if self.wrong("bias_twice") else bias)
        return self.store(y)
