"""Random plans through the group builders of other systems, against `moeparity plan --for SYSTEM --json`.

A system is a module with built(case) -> what its own code builds:
    groups      kind -> lists of ranks, in the order of the group's indices; some_groups: of some ranks only
    layers      stage -> (first, end)            experts     expert rank -> ids
    vocabulary  tensor rank -> (first, end)      rows        data rank -> row of each micro-batch
    heads, kv_heads, dense_inner, shared_inner: tensor rank -> (first, end)      inner: expert tensor rank -> (first, end)
What it does not build is not compared, nor what a line of comment of the emitted text says is otherwise.  A case that the system refuses counts as a difference.
"""
import argparse
import importlib
import json
import sys
import tempfile

import cases

SYSTEMS = ("megatron", "deepspeed", "torchtitan", "vllm", "sglang")


def index_of(rank, kind):
    """The coordinate along which a group's members differ."""
    return rank["stage" if kind == "pp" else kind]


def differences(ranks, built):
    """Each thing that is not as built, as one line."""
    for kind, groups in built.get("some_groups", {}).items():
        for group in groups:
            for index, rank in enumerate(group):
                if ranks[rank]["groups"][kind] != sorted(group) or index_of(ranks[rank], kind) != index:
                    yield f"{kind} group of rank {rank}: {ranks[rank]['groups'][kind]}, built {group}"
    for kind, groups in built.get("groups", {}).items():
        ours = {tuple(r["groups"][kind]) for r in ranks if len(r["groups"][kind]) > 1}
        theirs = {tuple(sorted(g)) for g in groups if len(g) > 1}
        if ours != theirs:
            yield f"{kind} groups: {sorted(ours)[:3]}, built {sorted(theirs)[:3]}"
        for group in groups:
            for index, rank in enumerate(group):
                if index_of(ranks[rank], kind) != index:
                    yield f"{kind} index of rank {rank}: {index_of(ranks[rank], kind)}, built {index}"
    axes = {"layers": "stage", "experts": "ep", "vocabulary": "tp", "rows": "dp", "heads": "tp", "kv_heads": "tp", "inner": "etp",
            "dense_inner": "tp", "shared_inner": "tp"}
    for what, axis in axes.items():
        for r in ranks if what in built else ():
            if list(r[what]) != list(built[what][r[axis]]):
                yield f"{what} of rank {r['rank']}: {r[what]}, built {built[what][r[axis]]}"


def check(name, n_plan, seed):
    system = importlib.import_module(f"system_{name}")
    compared, bad, n_rank = set(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases.draw(name, n_plan, seed, folder):
            try:
                built = system.built(case)
                found = list(differences(json.load(open(case.json))["ranks"], built))
            except Exception as error:  # the system refuses what was emitted for it
                built, found = {}, [f"refused: {type(error).__name__}: {str(error)[:300]}"]
            groups = built.get("groups", {}) | built.get("some_groups", {})
            compared |= (set(built) | {f"{kind} groups" for kind in groups}) - {"groups", "some_groups"}
            n_rank = max(n_rank, case.world)
            if found and (bad := bad + 1) <= 3:
                print(f"  {case.plan} for {case.model}\n    " + "\n    ".join(found[:4]))
    print(f"{name:11}{n_plan} plans of up to {n_rank} ranks, {n_plan - bad} agree: {', '.join(sorted(compared))}", flush=True)
    return bad == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM")
    args = parser.parse_args()
    agree = [check(name, args.plans, args.seed) for name in args.systems or SYSTEMS]
    sys.exit(0 if all(agree) else 1)


main()
