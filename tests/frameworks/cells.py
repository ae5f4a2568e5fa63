"""The table: framework x version x plan x family.  A cell is one run of a real framework, compared with a golden."""
from dataclasses import dataclass
from typing import ClassVar

from families import FAMILIES


@dataclass(frozen=True)
class Release:
    """A framework, and the folder of its environment: its pins are NAME.txt."""

    name: str
    version: str
    python: str = "3.11"

    @property
    def environment(self) -> str:
        return f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Run:
    """A way to run a family: the words of moeparity_transformers."""

    PART: ClassVar[str] = ""  # names of the weights of what is run, where it is not the whole model
    plan: str = "one"
    ranks: int = 1
    experts: str = ""
    dtype: str = "float32"
    forced: str = ""

    @property
    def name(self) -> str:
        words = [self.plan + (str(self.ranks) if self.ranks > 1 else ""), self.experts, self.forced,
                 "" if self.dtype == "float32" else self.dtype]
        return "-".join(filter(None, words))

    @property
    def divides(self) -> bool:
        """Does no rank hold all weights?"""
        return self.ranks > 1 and self.plan not in ("dp", "accelerate_dp")


@dataclass(frozen=True)
class Layer(Run):
    """The layers with experts alone: the words of megatron_moe.py, deepspeed_moe.py, torchtitan_moe.py or maxtext_moe.py."""

    PART: ClassVar[str] = r"\.(gate|experts|shared_experts?|shared_expert_gate)\."
    WHAT: ClassVar[str] = "layer"
    SCRIPT: ClassVar[str] = "moe"

    tp: int = 1
    ep: int = 1
    etp: int = 1
    dispatcher: str = ""
    capacity: float = 0

    @property
    def name(self) -> str:
        sizes = [f"{axis}{size}" for axis, size in self.sizes.items() if size > 1]
        return "-".join(filter(None, [f"{self.WHAT}{self.ranks}", *sizes, self.dispatcher]))

    @property
    def sizes(self) -> dict[str, int]:
        return {"tp": self.tp, "ep": self.ep, "etp": self.etp}

    @property
    def divides(self) -> bool:
        return self.ep * self.etp > 1


@dataclass(frozen=True)
class Stages(Layer):
    """A whole model in pipeline stages: the words of megatron_model.py."""

    PART: ClassVar[str] = ""
    WHAT: ClassVar[str] = "model"
    SCRIPT: ClassVar[str] = "model"
    pp: int = 2

    @property
    def sizes(self) -> dict[str, int]:
        return {"pp": self.pp} | super().sizes

    @property
    def divides(self) -> bool:
        return True


@dataclass(frozen=True)
class Cell:
    release: Release
    family: str
    run: Run

    @property
    def name(self) -> str:
        return f"{self.release.environment}/{self.family}/{self.run.name}"


OLD, NEW, TORCH = Release("transformers", "4.57.6"), Release("transformers", "5.24.0"), Release("torch", "2.13.0")
MEGATRON, DEEPSPEED = Release("megatron-core", "0.19.2"), Release("deepspeed", "0.19.8")
MAXTEXT = Release("maxtext", "0.2.5", "3.12")
WAYS = ("eager", "batched_mm", "grouped_mm")
FORCED = Run(dtype="bfloat16", forced="block")

RUNS: dict[Release, list[Run]] = {
    OLD: [Run(), FORCED, Run("tp", 2), Run("tp", 4), Run("ep", 2), Run("ep", 4), Run("dp", 2)],
    NEW: [*(Run(experts=way) for way in WAYS), FORCED, Run("tp", 2), Run("tp", 4),
          *(Run("ep", ranks, way) for ranks in (2, 4) for way in WAYS),
          Run("ep+dp", 2), Run("ep+dp", 4), Run("dp", 2)],
    TORCH: [Run("dtensor", 2), Run("dtensor", 4)],
    MEGATRON: [Layer(ranks=ranks, dispatcher=way, **sizes)
               for ranks, sizes in ((1, {}), (2, {"ep": 2}), (4, {"tp": 2, "ep": 2}), (4, {"ep": 2, "etp": 2}),
                                    (8, {"tp": 2, "ep": 4}))
               for way in ("allgather", "alltoall")]
    + [Stages(ranks=ranks, dispatcher="alltoall", **sizes)
       for ranks, sizes in ((2, {}), (4, {"ep": 2}), (4, {"tp": 2, "ep": 2}), (8, {"tp": 2, "ep": 4}))],
    DEEPSPEED: [Layer(ranks=ranks, ep=ep) for ranks, ep in ((1, 1), (2, 2), (4, 2), (4, 4))],
    MAXTEXT: [*(Layer(ranks=8, tp=tp, ep=ep, dispatcher="dense") for tp, ep in ((1, 8), (2, 4), (4, 2), (1, 4))),
              Layer(ranks=8, tp=2, ep=4, dispatcher="ragged")],
}
# The plan of dtensor.py is of heads alone: without a norm over all of them, sinks or a latent.
_OF_HEADS = ("mixtral", "qwen2_moe", "qwen3_moe", "glm4_moe")
_OF = {
    TORCH: _OF_HEADS,
    MEGATRON: ("mixtral", "qwen2_moe", "deepseek_v3", "glm4_moe"),
    DEEPSPEED: ("mixtral",),  # two experts whose weights add up to one, and none shared: what its gate knows
    MAXTEXT: ("mixtral", "qwen3_moe", "deepseek_v3", "glm4_moe"),
}
_IN_STAGES = ("mixtral", "qwen2_moe")  # what megatron_model.py loads: two layers alike
CELLS = [Cell(release, family, run) for release, runs in RUNS.items() for run in runs
         for family in (_IN_STAGES if isinstance(run, Stages) else _OF.get(release, FAMILIES))]

# What is committed under tests/data/dumps: every layout of a dump, each of a family of its own as far as they go.
DUMPS = ("transformers-4.57.6/mixtral/one", "transformers-4.57.6/deepseek_v3/one-block-bfloat16",
         "transformers-4.57.6/qwen3_moe/tp2", "transformers-5.24.0/mixtral/one-eager",
         "transformers-5.24.0/gpt_oss/one-batched_mm", "transformers-5.24.0/deepseek_v3/one-grouped_mm",
         "transformers-5.24.0/glm4_moe/one-block-bfloat16", "transformers-5.24.0/olmoe/tp2",
         "transformers-5.24.0/qwen2_moe/tp4", "transformers-5.24.0/qwen3_moe/ep2-grouped_mm",
         "transformers-5.24.0/mixtral/ep4-eager", "transformers-5.24.0/olmoe/ep+dp2",
         "transformers-5.24.0/qwen3_moe/dp2", "torch-2.13.0/glm4_moe/dtensor4",
         "megatron-core-0.19.2/mixtral/layer4-tp2-ep2-alltoall", "deepspeed-0.19.8/mixtral/layer2-ep2",
         "megatron-core-0.19.2/mixtral/model4-pp2-tp2-ep2-alltoall", "maxtext-0.2.5/mixtral/layer8-tp2-ep4-dense")
