#!/usr/bin/env python3
"""tests/property/limits.py PROGRAM [--seed N] [--count N]: runs under limits of memory.

Each case is a model, a plan, a numerics and a batch by chance, and a limit near
what verify says it needs: of a control group (version 1 or 2, where one can be
made), or of addresses (ulimit -v).  Either verify refuses the run, or it ends
with a verdict: nothing may be killed.  A refused run is repeated with just what
it asked for, and what it really took is measured: had the limit been a quarter
above that, refusing was wrong.
"""
import argparse
import os
import random
import re
import resource
import subprocess
import sys
import time

MODELS = {
    "seed-mini": ["tp=1", "tp=2", "dp=4,ep=4", "tp=2,pp=2,ep=4,scope=replica,mb=2",
                  "tp=4,dp=4,ep=8", "pp=2,mb=4", "tp=2,dp=2,ep=2,mb=2"],
    "shadow-a": ["tp=2", "tp=2,dp=2,ep=2,etp=2,mb=2", "dp=2,ep=4,pp=2,tp=2"],
    "shadow-b": ["tp=2", "dp=3,ep=3", "tp=2,pp=2,mb=2"],
}
NUMERICS = ["exact", "exact,fp32", "fp32", "bf16"]
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SLACK = 3 << 20
VERDICTS = (0, 1, 6)  # exit codes of a run that was not cut short
REFUSED = 4


class Group:
    """A control group for one run."""

    def __init__(self):
        self.is_v1 = os.path.isdir("/sys/fs/cgroup/memory")
        self.path = "/sys/fs/cgroup/%smoeparity-%d" % ("memory/" if self.is_v1 else "", os.getpid())
        os.mkdir(self.path)

    def _write(self, name, value):
        with open(os.path.join(self.path, name), "w") as out:
            out.write(str(value))

    def _read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read()

    def limit(self, number):
        self._write("memory.limit_in_bytes" if self.is_v1 else "memory.max", number)

    def enter(self):
        self._write("cgroup.procs", os.getpid())

    def look(self, pid):
        """Nothing: the kernel keeps the most."""

    def most(self):
        """Bytes at the worst moment, which may be too short to be looked at, without files that are kept because there is room."""
        total = int(self._read("memory.max_usage_in_bytes" if self.is_v1 else "memory.peak"))
        stat = dict(line.split() for line in self._read("memory.stat").splitlines())
        prefix = "total_" if self.is_v1 else ""
        return total - sum(int(stat[prefix + key]) for key in ("inactive_file", "active_file"))

    def close(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


class Addresses:
    """The same with ulimit -v."""

    def __init__(self):
        self.number = resource.RLIM_INFINITY
        self.largest = 0

    def limit(self, number):
        self.number = number

    def enter(self):
        resource.setrlimit(resource.RLIMIT_AS, (self.number, self.number))

    def look(self, pid):
        self.largest = max(self.largest, most_addresses(pid))

    def most(self):
        return self.largest

    def close(self):
        pass


def children(pid):
    """All processes below one."""
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                for child in map(int, file.read().split()):
                    found += [child] + children(child)
    except OSError:
        pass
    return found


def most_addresses(pid):
    largest = 0
    for child in children(pid):
        try:
            with open("/proc/%d/status" % child) as file:
                text = file.read()
        except OSError:
            continue
        match = re.search(r"VmPeak:\s+(\d+) kB", text)
        largest = max(largest, int(match.group(1)) * 1024 if match else 0)
    return largest


def run(kind, limit, command, timeout=60):
    """Exit code, stderr, and the most that was in use."""
    place = kind()
    try:
        place.limit(limit)
        begin = time.time()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   preexec_fn=place.enter, text=True)
        while process.poll() is None:
            place.look(process.pid)
            if time.time() - begin > timeout:
                process.terminate()
                timeout = float("inf")
            time.sleep(0.05)
        return process.returncode, process.stderr.read(), place.most()
    finally:
        place.close()


def needed(text):
    match = re.search(r"needs at least ([0-9.]+) ([KMG]?i?B)", text)
    return int(float(match.group(1)) * UNITS[match.group(2)]) if match else None


def draw(rng):
    model = rng.choice(list(MODELS))
    command = ["verify", model, "--plan", rng.choice(MODELS[model]), "--numerics",
               rng.choice(NUMERICS), "--batch", "%dx%d" % (8 * rng.randint(1, 4), 16 * rng.randint(1, 6)),
               "--seed", str(rng.randint(1, 99)), "--allow-partial"]
    if model == "seed-mini":
        command += ["--layers", str(rng.randint(2, 8))]
    return command


def try_case(program, kind, rng):
    """None, or what is wrong."""
    command = [program] + draw(rng)
    print(("group   " if kind is Group else "ulimit  ") + " ".join(command[1:]), end=" ", flush=True)
    tiny = 24 << 20 if kind is Group else 380 << 20
    code, text, _ = run(kind, tiny, command)
    need = needed(text)
    if "to start them" in text:  # that is said first
        code, text, _ = run(kind, need + SLACK, command)
        need = needed(text)
    if code != REFUSED or need is None:
        return "with next to nothing: exit %d: %s" % (code, text.strip())
    need += need // 1000 + SLACK  # what is printed is rounded, and we are in the group
    limit = int(need * rng.uniform(0.6, 1.4))
    code, text, peak = run(kind, limit, command)
    if code == REFUSED:
        peak = 0
    print("need %d MiB limit %d MiB exit %d" % (need >> 20, limit >> 20, code), end=" ", flush=True)
    if code in VERDICTS:
        print("took %d MiB" % (peak >> 20))
        return None
    is_early = "not enough memory to start" in text  # OpenBLAS would wait for ever
    if code != REFUSED or (needed(text) is None and not is_early):
        return "limit %d: exit %d: %s" % (limit, code, text.strip())
    for _ in range(1 if kind is Group else 3):  # addresses vary from run to run
        code, text, again = run(kind, need, command)
        peak = max(peak, again)
        if code not in VERDICTS:
            break
    print("takes %d MiB" % (peak >> 20))
    if code not in VERDICTS:
        return "with just what it needs, %d: exit %d: %s" % (need, code, text.strip())
    if limit >= 1.25 * peak:
        return "refused with %d bytes, though it takes %d" % (limit, peak)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    kinds = [Addresses]
    try:
        Group().close()
        kinds.append(Group)
    except OSError as error:
        print("NOT RUN: control groups: %s" % error)
    bad = 0
    for i in range(options.count):
        wrong = try_case(options.program, kinds[-1 - i % len(kinds)],
                         random.Random("%d %d" % (options.seed, i)))
        if wrong is not None:
            print("\nWRONG case %d of seed %d: %s" % (i, options.seed, wrong))
            bad += 1
    print("%d cases, %d wrong" % (options.count, bad))
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
