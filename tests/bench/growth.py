#!/usr/bin/env python3
"""tests/bench/growth.py: what more ranks cost, with the same work for each.

    growth.py PROGRAM TABLE          measure, write the table (docs/scale.tsv)
    growth.py --draw TABLE PICTURE   the picture of it (docs/scale.svg)
    growth.py --reach TABLE          what 8,192 ranks and the product of all degrees would need

Processor seconds, since the clock says as much about what else the machine does.
Memory counts shared pages once (peak.sh).  Beyond what was measured seconds and
memory of a rank are taken as a + b * log2(ranks), fitted by least squares: trees
of messages grow so; the largest measured value of a rank is the least taken.
"""
import math
import os
import re
import resource
import subprocess
import sys

REPLICAS = (2, 4, 8, 16, 32)  # of 16 ranks each
HERE = os.path.dirname(os.path.abspath(__file__))


def measure(program, table):
    rows = ["ranks\twall_s\tprocessor_s\tpeak_MiB\tprocesses_MiB"]
    for dp in REPLICAS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([os.path.join(HERE, "peak.sh"), "1", program, "verify", "seed-mini", "--numerics", "exact",
                               "--plan", f"tp=4,pp=4,dp={dp},ep=8,mb=8", "--batch", f"{8 * dp}x16"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = re.search(r"peak ([0-9.]+) GiB \(processes (\d+) MiB.*wall ([0-9.]+) s, exit 0", done.stderr)
        if found is None:
            sys.exit(f"{16 * dp} ranks: {done.stderr}")
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append(f"{16 * dp}\t{found[3]}\t{seconds:.1f}\t{float(found[1]) * 1024:.0f}\t{found[2]}")
        print(rows[-1], flush=True)
    with open(table, "w") as out:
        out.write("\n".join(rows) + "\n")


def read(table):
    with open(table) as file:
        return [tuple(map(float, line.split("\t"))) for line in list(file)[1:]]


def fit(points):
    """a, b of y = a + b * log2(x)."""
    x = [math.log2(p[0]) for p in points]
    y = [p[1] for p in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    b = sum((i - mean_x) * (j - mean_y) for i, j in zip(x, y)) / sum((i - mean_x) ** 2 for i in x)
    return mean_y - b * mean_x, b


def at(points, ranks):
    a, b = fit(points)
    return max(a + b * math.log2(ranks), max(p[1] for p in points))


def of_a_rank(rows, column):
    return [(row[0], row[column] / row[0]) for row in rows]


def reach(table):
    rows = read(table)
    for ranks in (512, 1024, 8192, 32768):
        cpu, memory = (at(of_a_rank(rows, column), ranks) * ranks for column in (2, 3))
        print(f"{ranks} ranks: {cpu:.0f} processor seconds, {memory / 1024:.0f} GiB")


def draw(table, picture):
    rows = read(table)
    lines = ((2, 1000, "processor milliseconds of a rank", "#1f6feb"), (3, 1, "MiB of a rank, files in memory too", "#b35900"))
    width, height, left, low = 640, 300, 50, 250
    most = 1.15 * max(max(row[column] / row[0] * by for row in rows) for column, by, _, _ in lines)

    def place(ranks, value):
        return left + (math.log2(ranks) - 5) / 8 * (width - left - 20), low - value / most * (low - 30)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<path d="M{left} 20V{low}H{width - 15}" fill="none" stroke="#444"/>']
    for step in range(5, 14):
        x, _ = place(2 ** step, 0)
        out.append(f'<text x="{x:.0f}" y="{low + 18}" text-anchor="middle">{2 ** step}</text>')
    grid = 10 ** math.floor(math.log10(most / 2))
    grid *= 5 if most / grid > 10 else 2 if most / grid > 4 else 1
    for i in range(1, int(most / grid) + 1):
        _, y = place(32, i * grid)
        out.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{i * grid:g}</text>')
        out.append(f'<path d="M{left} {y:.0f}H{width - 15}" stroke="#ddd"/>')
    for i, (column, by, name, colour) in enumerate(lines):
        points = [(ranks, value * by) for ranks, value in of_a_rank(rows, column)]
        path = " ".join("%.1f,%.1f" % place(*p) for p in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*place(*p), colour) for p in points]
        beyond = [points[-1]] + [(ranks, at(points, ranks)) for ranks in (1024, 2048, 4096, 8192)]
        path = " ".join("%.1f,%.1f" % place(*p) for p in beyond)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-dasharray="4 4"/>')
        out.append(f'<text x="{width - 20}" y="{20 + 16 * i}" text-anchor="end" fill="{colour}">{name}</text>')
    out.append(f'<text x="{width / 2:.0f}" y="{low + 40}" text-anchor="middle">ranks on one host; dashed: fitted</text></svg>')
    with open(picture, "w") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--draw":
        draw(*sys.argv[2:4])
    elif sys.argv[1] == "--reach":
        reach(sys.argv[2])
    else:
        measure(*sys.argv[1:3])
