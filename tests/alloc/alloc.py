"""alloc.py MOEPARITY FAIL_ALLOC.so CHECKPOINT few|all

Runs a small verify again and again; in each run one allocation of the launcher or of a rank fails (tests/alloc/fail_alloc.c).  Each run must
end with a verdict, where the program can do without, or in one line with exit code 4, 5 where a library ended the process; nothing is left, no
process and no file.  `few` takes some allocations, the same each time; `all` takes all, once failing once and once failing from there on.
Then the same with a checkpoint's file that is cut at such a moment: a verdict, or one line that names the file, exit code 3.
"""
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM, LIBRARY, CHECKPOINT, AMOUNT = sys.argv[1:5]
STALL = 5
HEALTHY = 6  # PARTIAL: so small a batch leaves experts idle
ARGUMENTS = ["--plan", "tp=2", "--layers", "1", "--batch", "2x3", "--numerics", "exact", "--stall", str(STALL)]


def left_processes(folder):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"MOEPARITY_RUN_DIR={folder}/runs".encode() in open(f"/proc/{pid}/environ", "rb").read():
                found.append(pid)
        except OSError:
            pass
    return found


def run(model, n, who, more=(), **variables):
    """Exit code, standard error without the estimate, and what is left."""
    folder = tempfile.mkdtemp()
    for name in ("runs", "tmp"):
        os.mkdir(f"{folder}/{name}")
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "FAIL_ALLOC": " ".join([str(n), who, *more]), "TMPDIR": f"{folder}/tmp",
                   "MOEPARITY_RUN_DIR": f"{folder}/runs", **variables}
    done = subprocess.run([PROGRAM, "verify", model, *ARGUMENTS], env=environment, capture_output=True, cwd=folder, timeout=120)
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line and not line.startswith("moeparity: about ")]
    left = left_processes(folder) + os.listdir(f"{folder}/runs") + os.listdir(f"{folder}/tmp")
    shutil.rmtree(folder)
    return done.returncode, lines, left


def judge(what, code, lines, left, codes):
    """A line about what is wrong; None if nothing is."""
    ours = [line for line in lines if line.startswith("moeparity: ")]
    wrong = []
    if code == HEALTHY and lines:
        wrong.append("a line beside a verdict")
    if code != HEALTHY and code not in codes:
        wrong.append(f"exit {code}")
    if code != HEALTHY and len(ours) != 1:
        wrong.append(f"{len(ours)} lines of ours")
    if code in (3, 4) and len(lines) != 1:
        wrong.append(f"{len(lines)} lines")
    if left:
        wrong.append(f"left: {left}")
    return f"{what}: {', '.join(wrong)}: {lines[:3]}" if wrong else None


def count(who):
    with tempfile.TemporaryDirectory() as folder:
        code, lines, left = run("shadow-b", 0, who, COUNT_ALLOC=f"{folder}/n")
        if code != HEALTHY or lines or left:
            sys.exit(f"the healthy run: exit {code}, {lines}, left: {left}")
        return int(open(f"{folder}/n").read())


def chosen(n, few):
    return range(1, n + 1) if AMOUNT == "all" else sorted({1 + (n - 1) * k // (few - 1) for k in range(few)})


def main():
    bad, n_run, n_ended = [], 0, 0
    for who, few in (("launcher", 6), ("0", 4), ("1", 4)):
        for n in chosen(count(who), few):
            for more in (["once"], []) if AMOUNT == "all" else (["once"],):
                code, lines, left = run("shadow-b", n, who, more)
                bad.append(judge(f"allocation {n} of {who} {more}", code, lines, left, (4, 5)))
                n_run += 1
                n_ended += code != HEALTHY
    with tempfile.TemporaryDirectory() as folder:
        n_cut = 0
        for n in chosen(600, 3) if AMOUNT == "all" else (60, 100, 200):
            shutil.copytree(CHECKPOINT, f"{folder}/model", dirs_exist_ok=True)
            file = f"{folder}/model/model.safetensors"
            code, lines, left = run(f"{folder}/model", n, "1", ["once"], CUT_FILE=file)
            bad.append(judge(f"cut at {n}", code, lines, left, (3,)))
            n_cut += code == 3 and "model.safetensors" in lines[0]
    bad = [line for line in bad if line]
    if n_ended == 0 or n_cut == 0:
        bad.append(f"{n_ended} runs ended for want of memory, {n_cut} for a cut file: nothing was tried")
    print(*bad, f"{n_run} failures, {n_ended} of them ended a run, {len(bad)} wrong", sep="\n")
    sys.exit(1 if bad else 0)


main()
