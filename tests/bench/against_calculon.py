#!/usr/bin/env python3
"""tests/bench/against_calculon.py PROGRAM CALCULON TABLE: training plans beside another model of their time.

CALCULON is a checkout of github:calculon-ai/calculon (run here with commit caa4b11), TABLE the plans of vTrain
(ground_truth_single.csv): iteration times of dense GPT models on 1 to 8 A100.  Calculon gets its own file of an A100
of 80 GB and what its examples say of such runs: fp16, fused activations, all-reduces that nothing hides, no
recomputation (`--recompute full` for the other end).  Both are held against the same rows in the same run: those that
Calculon answers; it refuses plans that it finds impossible.  `perf score` says what this program makes of them.

Needs what Calculon imports (pandas, psutil); not part of CI.
"""
import argparse
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import combinations

COLUMNS = ["gpus", "batch", "micro", "hidden", "heads", "layers", "length", "tensor", "data", "pipeline", "ms"]


def read_table(path):
    with open(path, encoding="utf-8") as table:
        lines = [line.rstrip("\n") for line in table]
    return lines[0], [(line, dict(zip(COLUMNS, map(float, line.split(","))))) for line in lines[1:] if line]


def predict(llm, system, row, recompute):
    """Milliseconds of an iteration, or None where Calculon says that the plan cannot be."""
    n = {key: int(value) for key, value in row.items() if key != "ms"}
    model = llm.Llm(llm.Llm.Application({
        "name": "gpt", "hidden": n["hidden"], "feedforward": 4 * n["hidden"], "seq_size": n["length"], "attn_heads": n["heads"],
        "attn_size": n["hidden"] // n["heads"], "num_blocks": n["layers"]}), logging.getLogger("calculon"))
    plan = llm.Llm.Execution.from_json({
        "num_procs": n["gpus"], "tensor_par": n["tensor"], "pipeline_par": n["pipeline"], "data_par": n["data"],
        "tensor_par_net": 0, "pipeline_par_net": 0, "data_par_net": 0, "batch_size": n["batch"], "microbatch_size": n["micro"],
        "datatype": "float16", "fused_activation": True, "attention_type": "multihead", "activation_recompute": recompute,
        "pipeline_interleaving": 1, "optimizer_sharding": False, "tensor_par_comm_type": "ar", "tensor_par_overlap": "none",
        "seq_par_ag_redo": False, "data_par_overlap": False, "weight_offload": False, "activations_offload": False,
        "optimizer_offload": False, "training": True})
    try:
        model.compile(system, plan)
        model.run(system)
    except llm.Llm.Error as error:
        return None, str(error)
    return 1000.0 * model.get_total_time(), None


def ranking(rows, predicted):
    """Kendall's tau and regret, means over groups of the same GPUs, batch and model, as perf score has them."""
    groups = defaultdict(list)
    for (_, row), ms in zip(rows, predicted):
        groups[tuple(row[key] for key in ("gpus", "batch", "hidden", "heads", "layers", "length"))].append((row["ms"], ms))
    taus, regrets = [], []
    for group in groups.values():
        pairs = [math.copysign(1, (a[0] - b[0]) * (a[1] - b[1])) for a, b in combinations(group, 2) if a[0] != b[0] and a[1] != b[1]]
        if len(group) > 1 and pairs:
            taus.append(sum(pairs) / len(pairs))
            regrets.append(min(group, key=lambda pair: pair[1])[0] / min(pair[0] for pair in group) - 1)
    return statistics.mean(taus), statistics.mean(regrets), len(taus)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("calculon")
    parser.add_argument("table")
    parser.add_argument("--recompute", choices=["none", "full"], default="none")
    wanted = parser.parse_args()
    sys.path.insert(0, wanted.calculon)
    from calculon import System
    from calculon.llm import llm
    with open(os.path.join(wanted.calculon, "systems/a100_80g.json"), encoding="utf-8") as text:
        system = System(json.load(text))
    head, rows = read_table(wanted.table)
    answered, predicted, refused = [], [], defaultdict(int)
    for line, row in rows:
        ms, why = predict(llm, system, row, wanted.recompute)
        if ms is None:
            refused[why] += 1
        else:
            answered.append((line, row))
            predicted.append(ms)
    for why, n in refused.items():
        print(f"refused    {n}: {why}")
    error = sorted(abs(ms / row["ms"] - 1) for (_, row), ms in zip(answered, predicted))
    bias = statistics.mean(math.log(ms / row["ms"]) for (_, row), ms in zip(answered, predicted))
    tau, regret, n = ranking(answered, predicted)
    print(f"Calculon   {len(answered)} rows, median {100 * statistics.median(error):.1f} %, p90 {100 * error[int(0.9 * len(error))]:.1f} %, "
          f"bias {100 * bias:+.1f} %; tau {tau:.3f}, regret {100 * regret:.1f} %, over {n} choices")
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as same:
        same.write("\n".join([head] + [line for line, _ in answered]) + "\n")
        same.flush()
        subprocess.run([wanted.program, "perf", "score", "--machine", "a100-sxm", "--kind", "plan", "--table", same.name], check=True)


if __name__ == "__main__":
    main()
