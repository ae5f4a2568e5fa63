"""Random models and plans that a system can run, as moeparity says."""
import dataclasses
import random
import subprocess

MODEL = """name: {name}
family: seed
layers: {L}
hidden: 96
heads: {H}
kv_heads: {G}
head_size: 8
experts: {E}
experts_per_token: {K}
expert_inner: {I}
shared_inner: {S}
dense_inner: {F}
vocabulary: {V}
ffn: {ffn}
norm_eps: 1e-05
rope:
  theta: 10000
  scaling: plain
sliding_window: 0
gated: true
activation: silu
renormalise: {renormalise}
tied_head: {tied}
bias:
  qkv: {bias}
  attention_out: false
  router: false
  ffn: false
capacity:
  rule: none
  domain: group
  priority: position
  dropped: zero
twin_expert: -1
"""


@dataclasses.dataclass
class Case:
    plan: str
    model: str  # what differs between the models, for messages
    line: list  # of the emitted text, comments left out
    comments: str
    json: str  # the map, a file
    size: dict  # L, H, G, E, K, V, inner columns: I of experts, S of shared ones, F of dense layers
    is_tied: bool
    degree: dict  # tp, pp, dp, ep, etp, mb, as written: 1 where they are not

    @property
    def world(self):
        return self.degree["tp"] * self.degree["pp"] * self.degree["dp"]


def moeparity(*args):
    """Lines of its answer; None: the plan is not legal, or none that the system runs."""
    run = subprocess.run(["moeparity", *args], capture_output=True, text=True, check=False)
    if run.returncode not in (0, 2):
        raise RuntimeError(run.stderr)
    return run.stdout.splitlines() if run.returncode == 0 else None


def model(rng, folder):
    H = rng.choice((4, 6, 8, 12, 16, 24))
    E = rng.choice((4, 6, 8, 12, 16, 24, 32, 60))
    size = {"L": rng.randint(4, 20), "H": H, "G": rng.choice([g for g in range(1, H + 1) if H % g == 0]), "E": E,
            "K": rng.choice((1, 2, 4)), "V": rng.randint(40, 4000), "S": rng.choice((0, 96)),
            "I": rng.choice((96, 120, 192)), "F": rng.choice((0, 0, 96, 240))}
    n_dense = min(size["L"] - 1, rng.randint(1, 3)) if size["F"] > 0 else 0
    ffn = "[" + ", ".join(["dense"] * n_dense + ["moe"] * (size["L"] - n_dense)) + "]"
    fields = {"renormalise": str(size["K"] > 1 and rng.random() < 0.5).lower(), "bias": str(rng.random() < 0.3).lower(),
              "tied": str(rng.random() < 0.2).lower()}
    path = f"{folder}/model.yaml"
    with open(path, "w") as file:
        file.write(MODEL.format(name="random", ffn=ffn, **size, **fields))
    return path, size, fields


def stages(rng, n_layer, pp):
    """A random split of the layers."""
    cuts = sorted(rng.sample(range(1, n_layer), pp - 1))
    return "/".join(str(b - a) for a, b in zip([0, *cuts], [*cuts, n_layer]))


def degrees(plan):
    degree = dict.fromkeys(("tp", "pp", "dp", "ep", "etp", "mb"), 1)
    degree.update((k, int(v)) for k, v in (pair.split("=") for pair in plan.split(",")) if k in degree)
    return degree


def draw(system, n, seed, folder):
    """n cases; the same for the same seed."""
    rng = random.Random(f"{system} {seed}")
    while n > 0:
        path, size, fields = model(rng, folder)
        world = rng.choice((1, 2, 3, 4, 6, 8, 8, 12, 16, 16, 24, 32, 32, 48, 64))
        plans = moeparity("plan", path, "--gpus", str(world), "--for", system)
        if plans is None:
            continue
        plan = rng.choice(plans)
        pp = degrees(plan)["pp"]
        if plan == "dp=1":
            plan = "tp=1"
        if rng.random() < 0.5 and system in ("megatron", "deepspeed", "torchtitan"):
            plan += f",mb={rng.randint(2, 6)}"
        if pp > 1 and rng.random() < 0.5 and system != "torchtitan":
            plan += f",stages={stages(rng, size['L'], pp)}"
        map_file = f"{folder}/map.json"
        line = moeparity("plan", plan, "--model", path, "--emit", system)
        if line is None or moeparity("plan", plan, "--model", path, "--for", system, "--json", map_file) is None:
            continue
        n -= 1
        yield Case(plan, ", ".join(f"{k} {v}" for k, v in (size | fields).items()), [x for x in line if not x.startswith("#")],
                   "\n".join(x for x in line if x.startswith("#")), map_file, size, fields["tied"] == "true", degrees(plan))
