"""What scripts/frameworks --engines does with the dumps of an engine: hold them against goldens, and write a table of docs/engines.md."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build/engines-runs"
PAGE = ROOT / "docs/engines.md"
BATCH = "2x12"
HEAD = ["| case | against its golden | what `compare --explain` printed | against the golden of that model |", "|---|---|---|---|"]
END = "<!-- end -->"


@dataclass
class Result:
    case: str
    verdict: str        # PASS, FAIL ..; NOT CONVERTED, NOT LOADED
    says: str           # why, or the worst observed / bound
    explained: str = ""  # the line that compare --explain printed
    then: str = ""      # verdict against the model that it names
    seconds: float = 0

    def row(self) -> str:
        what = f"`{self.explained}`" if self.explained else self.says
        return f"| {self.case} | {self.verdict} | {what} | {self.then} |"


def moeparity() -> str:
    found = os.environ.get("MOEPARITY") or shutil.which("moeparity") or str(ROOT / "build/release/harness/moeparity")
    if not Path(found).exists():
        raise SystemExit(f"{found}: expected the program, found nothing: build it, or say MOEPARITY=FILE")
    return found


def call(*words: object, **more: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)


def last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing was said"


def make_golden(source: Path, out: Path, *words: object) -> subprocess.CompletedProcess:
    return call(moeparity(), "golden", "make", "--model", source, *words, "--tokens", BATCH, "--numerics", "fp32", "--out", out)


def ratio(report: dict) -> float:
    return max((float(row["ratio"]) for row in report.get("worst", [])), default=0.0)


def compare(names: str, golden: Path, dump: Path, *more: object) -> tuple[str, dict]:
    """The verdict, and the report with the line of --explain that was printed."""
    report = dump.parent / "report.json"
    done = call(moeparity(), "compare", golden, dump, "--map", names, "--json", report, *more)
    if done.returncode not in (0, 1):
        return "ERROR: " + last_line(done.stderr), {}
    printed = [line for line in done.stdout.splitlines() if line.startswith("expla")]
    return last_line(done.stdout).split()[0], json.loads(report.read_text()) | {"printed": "".join(printed)}


def said_anew(words: tuple[str, ...], fields: list[str]) -> list[str]:
    """Words of a golden, pairs of option and value, with these fields behind --set; what they said of them before goes."""
    names = {field.split("=")[0] for field in fields}
    pairs = zip(words[::2], words[1::2])
    kept = [pair for pair in pairs if pair[0] != "--set" or pair[1].split("=")[0] not in names]
    return [word for pair in [*kept, *(("--set", field) for field in fields)] for word in pair]


def judge(names: str, case: str, source: Path, golden: Path, dump: Path, *words: str) -> Result:
    """The dump against its golden, made of source with the words, and against that of the model it is said to be."""
    verdict, report = compare(names, golden, dump, "--explain", "--model", source)
    result = Result(case, verdict, f"{ratio(report):.2g} of the bound", report.get("printed", ""))
    explanation = report.get("explanation") or {}
    for found in (explanation.get("found") or [])[:1]:
        fields = found["model"].split(" and ")
        if not all("=" in field for field in fields):
            result.then = "an operator, which no `--set` says"
            break
        other = dump.parent / "other"
        make_golden(source, other, *said_anew(words, fields))
        then, again = compare(names, other, dump)
        result.then = f"{then}, {ratio(again):.2g} of the bound" if again else then
    return result


def folder_of(engine: str, case: str) -> Path:
    return WORK / engine / case.replace("/", "__").replace(" ", "")


def new_folder(engine: str, case: str) -> Path:
    folder = folder_of(engine, case)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def keep_dump(engine: str, case: str, dumps: Path) -> None:
    folder = folder_of(engine, case)
    shutil.rmtree(dumps / folder.name, ignore_errors=True)
    shutil.copytree(folder / "dump", dumps / folder.name)


def digest(about: object) -> str:
    """Of what decides a result beside the case: the engine's versions and what was asked, the program, and these scripts and drivers."""
    whole = hashlib.sha256(str(about).encode())
    for file in (Path(moeparity()), *sorted(Path(__file__).parent.glob("*.py")), *sorted((ROOT / "golden/capture").glob("*.py"))):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def run_all(engine: str, about: object, cases: list[str], run: Callable[[str], Result], goes_on: bool) -> list[Result]:
    """Every case's result, told as it comes and kept beside its dump, from where a run that goes on takes those of the same digest."""
    made_by, results = digest(about), []
    for case in cases:
        place, file = f"[{len(results) + 1}/{len(cases)}]", folder_of(engine, case) / "result.json"
        kept = json.loads(file.read_text()) if goes_on and file.exists() else {}
        if kept.pop("made_by", None) == made_by:
            result = Result(**kept)
        else:
            print(f"{place} {case} ..", file=sys.stderr, flush=True)
            begin = time.monotonic()
            result = run(case)
            result.seconds = time.monotonic() - begin
            file.write_text(json.dumps(asdict(result) | {"made_by": made_by}))
        print(f"{place} {result.row()} {result.seconds:.0f} s", flush=True)
        results.append(result)
    return results


def told(folder: Path) -> str:
    """A folder of cases as the page names it."""
    whole = folder.resolve()
    return str(whole.relative_to(ROOT)) if whole.is_relative_to(ROOT) else "/".join(whole.parts[-2:])


def write_table(begin: str, lines: list[str]) -> None:
    before, rest = PAGE.read_text().split(begin)
    after = rest.split(END, 1)[1]
    PAGE.write_text("\n".join([before + begin, *lines, END + after]))
