#!/usr/bin/python3
"""The tests' engine with roundings as other engines have them.

    engine_rounds.py dump BUNDLE WEIGHTS NUMERICS OUT [options of engine.py]
                     [flash=long|flash=short] [act=fp32|cache=bf16|router=bf16|sum=fp32]

As llama.cpp does without flash attention: matrices are bf16, products round
what they read beside them to bf16, keys, values and what meets them are F16,
and everything else, the router's product included, is fp32.  With flash
attention queries and probabilities are fp32 where a batch is long; where it is
short probabilities are, and a context is stored in F16 after each key.  The
last words each round one of them otherwise.
"""
import sys

import numpy as np

import engine
from engine import bf16, f32


def f16(x):
    return np.asarray(x, np.float16).astype(f32)


class Rounding(engine.Engine):
    operand, cache = staticmethod(bf16), staticmethod(f16)
    query = probability = total = staticmethod(f16)
    wide = ("mlp.gate.weight",)
    flash = None

    def __init__(self, bundle, weights, args):
        super().__init__(bundle, weights, args)
        narrow = [name for name, w in self.w.items() if w.ndim > 1 and not name.endswith(self.wide)]
        self.w.update({name: bf16(self.w[name]) for name in narrow})
        self.matrices = {id(self.w[name]) for name in narrow}

    def product(self, x, w, split=False):
        return super().product(self.operand(x) if id(w) in self.matrices else x, w, split)

    def grouped(self, at, xn):
        q, k, v = super().grouped(at, xn)
        return self.query(q), self.cache(k), self.cache(v)

    def latent(self, at, xn):
        q, k, v = super().latent(at, xn)
        return self.query(q), self.cache(k), self.cache(v)

    def probabilities(self, s, sink):
        return self.probability(super().probabilities(s, sink))

    def mix(self, p, v):
        """Short: it belongs to the largest of p so far, which a larger one scales."""
        if self.flash != "short":
            return super().mix(p, v)
        y, largest = np.zeros((len(p), v.shape[1]), f32), np.zeros((len(p), 1), f32)
        for j in range(len(v)):
            more = np.maximum(largest, p[:, j:j + 1])
            of_more = np.where(more > 0, more, f32(1))
            y = np.where(more > largest, self.total(y * (largest / of_more)), y)
            y, largest = self.total(y + p[:, j:j + 1] / of_more * v[j]), more
        return y * largest


if __name__ == "__main__":
    for word in [w for w in sys.argv[6:] if "=" in w]:
        sys.argv.remove(word)
        if word == "cache=bf16":
            Rounding.cache = Rounding.query = Rounding.probability = staticmethod(bf16)
        elif word == "act=fp32":
            Rounding.operand = staticmethod(f32)
        elif word == "sum=fp32":
            Rounding.total = staticmethod(f32)
        elif word == "flash=long":
            Rounding.query = Rounding.probability = staticmethod(f32)
        elif word == "flash=short":
            Rounding.flash, Rounding.probability = "short", staticmethod(f32)
        elif word == "router=bf16":
            Rounding.wide = ()
    engine.Engine = Rounding
    sys.exit(engine.main())
