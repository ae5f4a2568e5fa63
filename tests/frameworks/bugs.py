"""Real bugs of published releases, each next to the release that mended it.  None is planted here.

A bug counts if its package's public tracker knows it, if `moeparity compare` finds it in a run of the release, and if
the mended release passes the same comparison.
"""
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cells import Cell, Release, Run
from families import FAMILIES
from run import BATCH as FAMILY_BATCH
from run import make_golden, run

SOURCE = Path(__file__).resolve().parents[2]
BATCH = "2x9"  # the states of nine tokens pass from a chunk of eight to the next
EAGER = Run(experts="eager")  # the grouped product wants rows of 16 bytes


@dataclass(frozen=True)
class Bug:
    name: str
    model: str   # FAMILY/CASE of golden/data/oracle, or a family of families.py
    wrong: str   # releases of transformers
    mended: str
    report: str  # in the package's public tracker
    what: str
    run: Run = Run()
    batch: str = BATCH

    def cell(self, version: str) -> Cell:
        return Cell(Release("transformers", version), self.name, self.run)


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
]


def _prepare(bug: Bug, moeparity: str, folder: Path) -> None:
    """folder/checkpoint and folder/golden."""
    if bug.model in FAMILIES:
        make_golden(bug.model, moeparity, folder)
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
    """Both dumps of every bug, and list: bug, model, batch and the tap at which the wrong one fails."""
    shutil.rmtree(data, ignore_errors=True)
    lines = []
    for bug in bugs:
        for name, version in (("wrong", bug.wrong), ("mended", bug.mended)):
            shutil.copytree(folder_of(work, bug, version) / "dump", data / bug.name / name)
        lines.append(f"{bug.name} {bug.model} {bug.batch} {found_at(work, bug)}\n")
    (data / "list").write_text("".join(lines))
