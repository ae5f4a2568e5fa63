"""Real bugs of published releases, each next to the release that mended it.  None is planted here.

A bug counts if its package's public tracker knows it, if `moeparity compare` finds it in a run of the release, and if
the mended release passes the same comparison.
"""
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cells import Cell, Layer, Release, Run
from families import FAMILIES, VARIANTS
from run import BATCH as FAMILY_BATCH
from run import make_golden, map_of, run

SOURCE = Path(__file__).resolve().parents[2]
BATCH = "2x9"  # the states of nine tokens pass from a chunk of eight to the next
EAGER = Run(experts="eager")  # the grouped product wants rows of 16 bytes


@dataclass(frozen=True)
class Bug:
    name: str
    model: str   # FAMILY/CASE of golden/data/oracle, or a family or variant of families.py
    wrong: str   # releases of the package
    mended: str
    report: str  # in the package's public tracker
    what: str
    run: Run = Run()
    batch: str = BATCH
    package: str = "transformers"

    def cell(self, version: str) -> Cell:
        return Cell(Release(self.package, version), self.name, self.run)


BUGS = [
    Bug("llama4-scores", "llama4/published", "4.56.0", "4.56.1", "pull request 40609",
        "Llama-4 scales what each expert reads by its score. The scores lie as [tokens, experts], the copies of the tokens "
        "as [experts, tokens]; one was flattened without being turned, so that tokens were scaled by other tokens' scores."),
    Bug("deepseek_v2-scale", "deepseek_v2/grouped_yarn", "5.14.1", "5.15.0", "pull request 47435",
        "With YaRN, DeepSeek-V2 multiplies the scale of attention by the square of a factor of `mscale_all_dim`. The class "
        "left it out.", EAGER),
    Bug("glm4_moe-groups", "glm4_moe/groups", "5.5.4", "5.6.2", "issue 45440",
        "Experts of groups that are not chosen got the score 0, not minus infinity. Where the selection bias makes a score "
        "negative, an expert of such a group wins. DeepSeek-V3 and all that copy its router had it.", EAGER),
    Bug("hunyuan-weights", "hunyuan_v1_moe/biased", "5.0.0", "5.1.0", "pull request 43445",
        "The router spread its weights over a row as wide as the hidden size, and the experts read its first columns: "
        "the choice was right, its weights were others.", EAGER),
    Bug("hunyuan-rotation", "hunyuan_v1_moe/dynamic", "5.0.0", "5.1.0", "pull request 43411",
        "The base of the rotation depends on `alpha`. Loading set the frequencies anew, without it.", EAGER),
    Bug("phimoe-norms", "phimoe/tiny", "5.0.0", "5.1.0", "pull request 43445",
        "Phi-3.5-MoE has LayerNorms with a bias. The class computed RMSNorm.", EAGER),
    Bug("nemotron_h-chunks", "nemotron_h/latent_groups", "5.14.1", "5.15.0", "issue 47246",
        "Without kernels a Mamba-2 layer is computed chunk by chunk. The sum that carries the state from chunk to chunk ran "
        "over the wrong axis, so that a chunk did not see those before it.", EAGER),
    Bug("switch-capacity", "switch_layer/cap_tight", "5.17.0", "5.18.0", "issue 48293",
        "The router counted the tokens of each expert along an axis of length 1, so that no token ever was behind the "
        "expert's capacity and none was dropped.", Run("switch_layer"), "3x11"),
    Bug("gpt_oss-experts", "gpt_oss", "5.5.4", "5.6.2", "pull request 45473",
        "Expert parallelism: the router gave each rank numbers of its own experts, but no rank's experts were dealt (each "
        "held all 68,096 parameters); and the weights of a token's choices were spread over a column for each expert of "
        "the rank, where the experts read one for each choice.", Run("ep", 2, "grouped_mm"), FAMILY_BATCH),
    Bug("megatron-dispatch", "mixtral", "0.11.0", "0.12.0", "merge request 2824, commit 54d4b3ddbb",
        "Experts dealt over two ranks and each divided over two: where the experts' outputs go back to the ranks of their tokens, "
        "the numbers of tokens were read in the order [expert, expert rank, part], where the outputs lie as [expert, part, expert "
        "rank]. Tokens got other tokens' outputs.", Layer(ranks=4, ep=2, etp=2, dispatcher="alltoall"), FAMILY_BATCH,
        "megatron-core"),
    Bug("megatron-one_choice", "olmoe_one_choice", "0.7.0", "0.8.0", "issue 894",
        "The softmax was taken over the chosen experts alone, so that the weight of a token's only expert was 1, whatever its "
        "score, and the router learned nothing. 0.8.0 has an option, which it demands here.",
        Layer(dispatcher="alltoall"), FAMILY_BATCH, "megatron-core"),
    Bug("deepspeed-capacity", "mixtral_three_choices", "0.18.9", "0.19.0", "pull request 7986",
        "Where an expert has more tokens than its capacity, the least likely go. They were ranked by scores before the softmax, "
        "and tokens that had not chosen the expert by 0: a token with a negative score was dropped from an expert that had "
        "places left. Here no expert is full and no token should go.", Layer(ranks=2, ep=2, capacity=2.0), "4x8", "deepspeed"),
    Bug("torchtitan-gpt_oss", "gpt_oss", "0.2.1", "0.2.2", "issue 2258",
        "The router had no bias, and the weights of a token's experts were not divided by their sum.",
        Layer(), FAMILY_BATCH, "torchtitan"),
    Bug("mlx-minimax_tp", "minimax_m2/partial_rope", "0.30.7", "0.31.1", "pull request 898",
        "Tensor parallelism: MiniMax-M2 normalises queries and keys over all heads, and each rank took the mean over its own.",
        Run("mlx_model", 2), package="mlx-lm"),
    Bug("mlx-lfm2_routing", "lfm2_moe/short_conv", "0.31.3", "0.32.0", "pull request 1354",
        "The router took a softmax for a sigmoid, and the weights of chosen experts from scores with the bias that is there for "
        "the choice alone.", Run("mlx_model"), package="mlx-lm"),
    Bug("mlx-deepseek_v3", "deepseek_v3", "0.22.3", "0.22.4", "pull request 67",
        "The weights of chosen experts were taken from scores with the bias that is there for the choice alone. The norms of "
        "the latents had another epsilon, too, which is what `compare` comes upon first, and calls a matter of precision.",
        Run("mlx_model"), FAMILY_BATCH, "mlx-lm"),
    Bug("mlx-deepseek_v32", "deepseek_v32/yarn_groups", "0.31.3", "0.32.0", "pull request 1431",
        "The indexer, which picks the keys that a query sees, rotated neighbouring columns where the model rotates halves: other "
        "keys were picked.", Run("mlx_model"), package="mlx-lm"),
    Bug("accelerate-last_rows", "mixtral", "0.15.0", "0.16.0", "issue 952, pull request 982",
        "Data parallelism: of the last batch `gather_for_metrics` keeps as many rows as are no padding, a number that it took from "
        "the remainder of all rows by those of a batch. Where rows divide evenly that is 0, and the whole last batch was lost.",
        Run("accelerate_dp", 2), FAMILY_BATCH, "accelerate"),
]


def _prepare(bug: Bug, moeparity: str, folder: Path) -> None:
    """folder/checkpoint and folder/golden."""
    if bug.model in FAMILIES | VARIANTS:
        make_golden(bug.model, moeparity, folder, bug.batch, "fp32" if bug.model in VARIANTS else "fp32,bf16")
        return
    case, checkpoint = SOURCE / "golden/data/oracle" / bug.model, folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(case / name, checkpoint)
    subprocess.run([moeparity, "golden", "make", "--force", "--model", case, "--tokens", bug.batch, "--numerics",
                    "fp32", "--out", folder / "golden"], check=True, capture_output=True)


def folder_of(work: Path, bug: Bug, version: str) -> Path:
    return work / bug.name / version


def report(work: Path, bug: Bug, version: str) -> list[str]:
    """What compare printed."""
    return (folder_of(work, bug, version) / "compared").read_text().splitlines()


def found_at(work: Path, bug: Bug) -> str:
    return report(work, bug, bug.wrong)[-1].split("first at p0.")[1].split(",")[0]


def run_bug(bug: Bug, moeparity: str, python_of: Callable[[Cell], str], module: Path, work: Path) -> bool:
    """Runs both releases and prints a line; was the bug found, and is it gone?"""
    _prepare(bug, moeparity, work / bug.name)
    results = [run(bug.cell(version), moeparity, python_of(bug.cell(version)), module, folder_of(work, bug, version))
               for version in (bug.wrong, bug.mended)]
    print(f"{bug.name}: {bug.wrong} {results[0].says}; {bug.mended} {results[1].says}", flush=True)
    wrong, mended = (report(work, bug, version)[-1] for version in (bug.wrong, bug.mended))
    return wrong.startswith("FAIL") and mended.startswith(("PASS", "MARGINAL"))


def keep_dumps(bugs: list[Bug], work: Path, data: Path) -> None:
    """Both dumps of every bug, the golden of a variant, the map of what is judged, and list: bug, model, batch and the tap at
    which the wrong one fails."""
    shutil.rmtree(data, ignore_errors=True)
    lines = []
    for bug in bugs:
        for name, version in (("wrong", bug.wrong), ("mended", bug.mended)):
            shutil.copytree(folder_of(work, bug, version) / "dump", data / bug.name / name)
        if bug.model in VARIANTS:
            shutil.copytree(work / bug.name / "golden", data / bug.name / "golden")
        if names := map_of(bug.cell(bug.wrong), folder_of(work, bug, bug.wrong)):
            shutil.copy(names, data / bug.name / "map.yaml")
        lines.append(f"{bug.name} {bug.model} {bug.batch} {found_at(work, bug)}\n")
    (data / "list").write_text("".join(lines))
