#!/usr/bin/env python3
"""tests/bench/against_transformers.py PROGRAM: tokens per second beside transformers.

One model of Mixtral's shape with random weights, as a checkpoint of floats:
transformers' own forward pass on the CPU (fp32), `run` (the reference, in
doubles, which stores every tap), and `run --plan tp=1 --numerics fp32`.  Two
batches of each, in turn, several times over: what the larger one takes more is
the pass alone, without starting and reading.  Processor seconds stand beside
the clock's, which mean little on a busy machine.

A virtual machine may give free memory back to its host, and then takes a second
or two for each GiB that it needs again.  transformers keeps its own; so before
each `run` as much is touched and freed, and --cold leaves that out.

Needs torch and transformers; not part of CI.
"""
import argparse
import mmap
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from transformers import MixtralConfig, MixtralForCausalLM

SMALL, LARGE = (1, 256), (9, 256)  # rows, tokens of a row
TOUCHED = 3 << 30
MORE = LARGE[0] * LARGE[1] - SMALL[0] * SMALL[1]


def make_model():
    torch.manual_seed(1)
    return MixtralForCausalLM(MixtralConfig(
        vocab_size=4096, hidden_size=768, intermediate_size=2048, num_hidden_layers=3, num_attention_heads=12,
        num_key_value_heads=4, num_local_experts=8, num_experts_per_tok=2, sliding_window=None,
        tie_word_embeddings=False, dtype=torch.float32)).eval()


def clocks(who):
    used = resource.getrusage(who)
    return time.monotonic(), used.ru_utime + used.ru_stime


def took(who, work):
    wall, cpu = clocks(who)
    work()
    now = clocks(who)
    return now[0] - wall, now[1] - cpu


def by_transformers(model, rows, tokens):
    ids = torch.randint(0, 4096, (rows, tokens), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        return took(resource.RUSAGE_SELF, lambda: model(ids, use_cache=False))


def touch_memory():
    with mmap.mmap(-1, TOUCHED) as memory:
        for page in range(0, TOUCHED, mmap.PAGESIZE):
            memory[page] = 1


def by_run(command, rows, tokens, cold):
    if not cold:
        touch_memory()
    command = command + ["--batch", f"{rows}x{tokens}"]
    return took(resource.RUSAGE_CHILDREN, lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="memory as it is found")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = make_model()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        run = [options.program, "run", "--model", folder, "--out", os.path.join(folder, "taps")]
        ways = {"transformers, fp32": lambda *shape: by_transformers(model, *shape),
                "run, the reference in doubles": lambda *shape: by_run(run, *shape, options.cold),
                "run --plan tp=1 --numerics fp32":
                    lambda *shape: by_run(run + ["--plan", "tp=1", "--numerics", "fp32"], *shape, options.cold)}
        seen = {name: [] for name in ways}
        for _ in range(options.times + 1):
            for name, way in ways.items():
                small, large = way(*SMALL), way(*LARGE)
                seen[name].append((large[0] - small[0], large[1] - small[1]))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"{sum(p.numel() for p in model.parameters()) / 1e6:.0f} M parameters, load {os.getloadavg()[0]:.1f}")
    first = None
    for name, pairs in seen.items():
        wall, cpu = (MORE / statistics.median(p[i] for p in pairs[1:]) for i in (0, 1))  # the first warms up
        first = first or (wall, cpu)
        print(f"{name:34} {wall:8.0f} tokens/s ({wall / first[0]:.2f}), "
              f"{cpu:8.0f} a processor second ({cpu / first[1]:.2f})")


if __name__ == "__main__":
    sys.exit(main())
