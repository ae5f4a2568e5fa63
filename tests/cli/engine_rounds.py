#!/usr/bin/python3
"""The tests' engine with roundings as other engines have them.

    engine_rounds.py dump BUNDLE WEIGHTS NUMERICS OUT [options of engine.py]
                     [cache=bf16|router=bf16]

As llama.cpp does without flash attention: matrices are bf16, products round
what they read beside them to bf16, keys, values and what meets them are F16,
and everything else, the router's product included, is fp32.  The last words
each round one of them otherwise.
"""
import sys

import numpy as np

import engine
from engine import bf16, f32


def f16(x):
    return np.asarray(x, np.float16).astype(f32)


class Rounding(engine.Engine):
    cache = staticmethod(f16)
    wide = ("mlp.gate.weight",)

    def __init__(self, bundle, weights, args):
        super().__init__(bundle, weights, args)
        narrow = [name for name, w in self.w.items() if w.ndim > 1 and not name.endswith(self.wide)]
        self.w.update({name: bf16(self.w[name]) for name in narrow})
        self.matrices = {id(self.w[name]) for name in narrow}

    def product(self, x, w, split=False):
        return super().product(bf16(x) if id(w) in self.matrices else x, w, split)

    def grouped(self, at, xn):
        return tuple(self.cache(x) for x in super().grouped(at, xn))

    def latent(self, at, xn):
        return tuple(self.cache(x) for x in super().latent(at, xn))

    def probabilities(self, s, sink):
        return self.cache(super().probabilities(s, sink))


if __name__ == "__main__":
    for word in [w for w in sys.argv if "=" in w]:
        sys.argv.remove(word)
        if word == "cache=bf16":
            Rounding.cache = staticmethod(bf16)
        elif word == "router=bf16":
            Rounding.wide = ()
    engine.Engine = Rounding
    sys.exit(engine.main())
