#!/usr/bin/env python3
"""tests/property/delays.py PROGRAM [--seed N] [--count N]: verifies whose ranks are held up at random.

While a verify runs, one of its ranks after the other is stopped (SIGSTOP) for 50 to 300 ms and goes on.  Each run must say, to the letter but for
its times, what the same run says undisturbed: one verdict, and nobody is taken for dead or stalled, though the stall limit is but ten times
the longest stop.  On a busy machine this program may be kept from letting a rank go on: a run that ends after a stop of half the limit is made
again.  The control: a rank that is stopped for good is found.
"""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

RUNS = [
    "shadow-a --plan tp=2,pp=3,dp=2,ep=4,mb=5 --batch 60x16",
    "shadow-b --plan dp=3,ep=3 --batch 6x7",
    "seed-mini --plan tp=2,pp=2,ep=4,scope=replica,mb=2 --batch 8x16",
    "seed-mini --plan dp=4,ep=4 --batch 8x16",
    "shadow-a --plan tp=2,dp=2,ep=2,etp=2,mb=2 --batch 8x11 --numerics exact,bf16",
]
STALL = 3
DIFFERS = r"(?m)^(time |  (memory|reference|emulation) |.*(processor seconds|largest rank held)).*\n"  # from run to run
LEAST, MOST = 0.05, 0.3


def below(pid):
    """All processes that pid and its children started."""
    try:
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    except OSError:
        return []
    return children + [further for child in children for further in below(child)]


def ranks_of(run):
    """Processes of the run that mpiexec started as ranks."""
    found = []
    for pid in below(run):
        try:
            environ = open(f"/proc/{pid}/environ", "rb").read()
        except OSError:
            continue
        if b"\0PMI_RANK=" in b"\0" + environ:
            found.append(int(pid))
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def verify(program, arguments, disturb):
    """Exit code, report without its times, standard error; disturb(pid) is called while it runs."""
    with tempfile.TemporaryDirectory() as runs, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        run = subprocess.Popen([program, "verify", *arguments.split(), "--stall", str(STALL)], stdout=out, stderr=error, stdin=subprocess.DEVNULL,
                               env={**os.environ, "MOEPARITY_RUN_DIR": runs})
        while run.poll() is None:
            disturb(run.pid)
            time.sleep(0.005)
        out.seek(0)
        error.seek(0)
        return run.returncode, re.sub(DIFFERS, "", out.read()), re.sub(r"(?m)^moeparity: about .*\n", "", error.read())


class Delays:
    """Stops ranks for a while, one at a time."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.n = 0
        self.longest = 0.0

    def __call__(self, run):
        ranks = ranks_of(run)
        if not ranks:
            return
        pid = self.rng.choice(ranks)
        begin = time.monotonic()
        if send(pid, signal.SIGSTOP):
            self.n += 1
            time.sleep(self.rng.uniform(LEAST, MOST))
            send(pid, signal.SIGCONT)
            self.longest = max(self.longest, time.monotonic() - begin)


def stop_for_good(run):
    for pid in ranks_of(run)[:1]:
        send(pid, signal.SIGSTOP)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    alone = [verify(options.program, arguments, lambda run: None) for arguments in RUNS]
    wrong = [f"undisturbed: exit {code}: {said}{error}" for code, said, error in alone if code not in (0, 6) or error]
    n_stopped = n_again = 0
    for i in range(options.count if not wrong else 0):
        delays = Delays(f"{options.seed}/{i}")
        found = verify(options.program, RUNS[i % len(RUNS)], delays)
        while found[0] == 5 and delays.longest > STALL / 2 and n_again < options.count:
            n_again += 1
            delays = Delays(f"{options.seed}/{i}/{n_again}")
            found = verify(options.program, RUNS[i % len(RUNS)], delays)
        n_stopped += delays.n
        if found != alone[i % len(RUNS)]:
            wrong.append(f"run {i}, {delays.n} stops: {RUNS[i % len(RUNS)]}: exit {found[0]}: {found[1]}{found[2]}")
    code, said, error = verify(options.program, RUNS[0], stop_for_good)
    if code != 5 or said or not re.search("is stopped|did not come within", error):  # it may have had no time to come
        wrong.append(f"stopped for good: exit {code}: {said}{error}")
    if n_stopped < options.count:
        wrong.append(f"only {n_stopped} stops")
    print(*wrong, f"{options.count} verifies, {n_stopped} stops of 50 to 300 ms, {n_again} made again, {len(wrong)} wrong", sep="\n")
    sys.exit(1 if wrong else 0)


main()
