"""Runs the three jobs of docs/ci.md as they stand there, GitHub's and GitLab's, with transformers on gloo for the GPUs.

    python tests/frameworks/ci_page.py CHECKPOINT     in an environment with torch, transformers and PyYAML; as root on Debian

A repository is made in a temporary folder: the checkpoint, and the files of the page's table.  Jobs get what earlier ones
kept, and nothing else.  What is not run is the services' own: checking out, caches, artifacts.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/ci.md").read_text()
JOBS = ("golden", "capture", "compare")
KEPT = ("bundle", "dump")


def files() -> dict[str, str]:
    """The table of what lies in the repository."""
    return dict(re.findall(r"^\| `(ci/\w+)` \| `([^`]*)`", PAGE, re.M))


def commands(job: dict, hidden: dict) -> list[str]:
    if "steps" in job:
        return [step["run"] for step in job["steps"] if "run" in step]
    return [*(hidden.get("before_script", []) if "extends" in job else []), *job["script"]]


def check_jobs(page: dict, checkpoint: Path) -> None:
    jobs = page.get("jobs", page)
    variables = (page.get("env") or page.get("variables")) | {"MOEPARITY_URL": f"file://{ROOT}", "MOEPARITY_COMMIT": commit()}
    kept: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in JOBS:
            here = Path(folder, name)
            (here / "ci").mkdir(parents=True)
            shutil.copytree(checkpoint, here / "checkpoint")
            for path, text in files().items():
                (here / path).write_text(text + "\n")
            for what, source in kept.items():
                shutil.copytree(source, here / what)
            shutil.rmtree("/opt/moeparity", ignore_errors=True)
            text = "set -e\n" + "\n".join(commands(jobs[name], page.get(".moeparity", {})))
            environment = os.environ | variables | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            print(f"--- {name}", flush=True)
            subprocess.run(["bash", "-c", text], cwd=here, env=environment, check=True)
            kept |= {what: here / what for what in KEPT if (here / what).is_dir()}
        for file in ("compare.xml", "compare.html"):
            if not Path(folder, "compare", file).is_file():
                sys.exit(f"compare wrote no {file}")


def commit() -> str:
    return subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    pages = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)]
    engines = [page for page in pages if set(JOBS) <= set(page.get("jobs", page))]
    if len(engines) != 2:
        sys.exit(f"docs/ci.md: expected two pages with {', '.join(JOBS)}, found {len(engines)}")
    for page in engines:
        check_jobs(page, Path(sys.argv[1]).resolve())


main()
