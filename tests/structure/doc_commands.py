"""doc_commands.py ROOT FOLDER [--long]: the commands of README and docs, run as written; their links, followed.

A command is an indented line, or one of a block without a language behind "$ ", that begins with `moeparity` or pipes
into it; a backslash continues it.  Those of a page run one after the other in a copy of what the repository holds, with
the program of FOLDER on the path.  A page of many ranks or of long searches waits for --long.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGES = ["README.md", "golden/README.md", "docs/*.md"]
FOLDERS = ["docs", "golden", "tests/data"]
# Not run here, and why.
ELSEWHERE = {
    r"\b(GOLDEN|MODEL|PLAN|FILE|FAMILY|DIR|CHECKPOINT|M|BxT)\b": "a form, not a command",
    r"\b(calibrate|cpu\.yaml)\b": "minutes: cli.calibrate",
    r"\$T/": "tables that are not in the repository",
    r"HYDRA_HOST_FILE|mpiexec|srun": "several hosts: hosts.verify",
    r"verify DeepSeek-V3": "a config.json that is not in the repository, and eight minutes",
    r"scaled\.yaml": "an operator that is not there: adding_operator",
    r"^scripts/|launch\.sh": "scripts, and a file of the reader",
    r"compare bundle dump": "a dump by torch: cli.foreign_docs",
    r"compare golden-onnx dump-onnx": "a dump by onnxruntime: cli.foreign_engines",
    r"measured:taps\.safetensors|--trace t\.json|counts\.txt": "a file of the reader, or written by it",
}
# What is shown to be refused, or to be found wrong.
EXITS = {r"--explain": 1, r"audit docs/claims/seed\.yaml": 1, r"--require docs/claims": 1, r"tensors_mxfp4 --plan tp=4": 2}
LONG = r"seed-32|best\.yaml|golden make --force|gpus 16\.\.|seed-30b|golden check|report"


def commands(page):
    fence, whole = None, ""
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
            continue
        if whole:
            text = line.strip()
        elif fence is None and line.startswith("    "):
            text = line[4:]
        elif fence == "" and line.startswith("$ "):
            text = line[2:]
        else:
            continue
        whole += text.removesuffix("\\")
        if text.endswith("\\"):
            continue
        if re.match(r"(moeparity|scripts/|[A-Z_]+=\S+ moeparity) ", whole):
            yield re.sub(r"\s+#.*", "", whole)
        whole = ""


def looked_up(table, command, usual):
    return next((value for pattern, value in table.items() if re.search(pattern, command)), usual)


def is_run(command, long):
    return looked_up(ELSEWHERE, command, None) is None and (long or not re.search(LONG, command))


def dead_links(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    return [f"{page}: {link}: no such file" for link in links if not (page.parent / link).exists()]


def run_page(page, these, folder, environment):
    failed = []
    for command in these:
        run = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode != looked_up(EXITS, command, 0):
            failed.append(f"{page}: {command}: exit {run.returncode}\n{run.stdout[-600:]}")
    return failed


def link(source, target):
    """A copy that costs nothing, where there can be one: the program replaces files, it writes into none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def main(root, programs, long=False):
    environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")
    failed, n = [], 0
    for pattern in PAGES:
        for page in sorted(root.glob(pattern)):
            these = [command for command in commands(page) if is_run(command, long)]
            n += len(these)
            failed += dead_links(page)
            if not these:
                continue
            with tempfile.TemporaryDirectory() as folder:
                for name in FOLDERS:
                    shutil.copytree(root / name, Path(folder) / name, copy_function=link)
                failed += run_page(page, these, folder, environment)
    print(*failed, f"{n} commands", sep="\n")
    return 1 if failed or n < 12 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], "--long" in sys.argv))
