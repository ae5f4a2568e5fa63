"""Who may include whom: draws the graph of #include between the rooms of a checkout.

    rooms.py SOURCE_DIR          fails on an arrow that runs up, a circle, or a folder that is no room
    rooms.py SOURCE_DIR --draw   prints the arrows
    rooms.py --itself            shows that each of these failures is seen
"""
import os
import re
import sys
import tempfile

# From the ground up.  A room may include what stands before it; rooms of one line never include each other.
FLOORS = [
    ["core/base"],
    ["core/numbers"],
    ["core/files"],
    ["core/model"],
    ["core/weights", "core/pass"],
    ["ref", "parallel"],
    ["golden"],
    ["harness/words", "harness/systems"],
    ["harness/launch"],
    ["harness/verify"],
    ["harness/perf/cost"],
    ["harness/perf/machine"],
    ["harness/perf/score"],
    ["harness/perf/calibrate", "harness/perf/predict", "harness/perf/audit"],
    ["harness/perf/search"],
    ["harness/page"],
    ["harness/judge"],
    ["harness/program"],
]
# Below, and yet not to be seen: golden holds what any partition must give, so it knows none.
FORBIDDEN = {("golden", "parallel")}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def includes(source_dir):
    """(file, included file) of every quoted include below the five folders."""
    for top in ("core", "ref", "parallel", "golden", "harness"):
        for folder, _, names in sorted(os.walk(os.path.join(source_dir, top))):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as text:
                        for included in re.findall(r'^ *# *include "([^"]+)"', text.read(), re.M):
                            yield os.path.relpath(path, source_dir), included


def room_of(file):
    """The room that a file lies in, or below in a closet; None if it lies in none."""
    folder = os.path.dirname(file)
    while folder and folder not in FLOOR:
        folder = os.path.dirname(folder)
    return folder or None


def faults(source_dir):
    found = []
    for file, included in includes(source_dir):
        here, there = room_of(file), room_of(included)
        found += [f"{path} lies in no room (tests/structure/rooms.py lists them)"
                  for path, room in ((file, here), (included, there)) if room is None]
        if None in (here, there) or here == there:
            continue
        if FLOOR[there] >= FLOOR[here] or (here, there) in FORBIDDEN:
            found.append(f"{file} includes {included}: {here}/ stands no higher than {there}/ or may not see it")
    return found


def draw(source_dir):
    arrows = {}
    for file, included in includes(source_dir):
        arrow = room_of(file), room_of(included)
        arrows[arrow] = arrows.get(arrow, 0) + 1
    for room in sorted(FLOOR, key=FLOOR.get, reverse=True):
        print(room + "/")
        for (here, there), n in sorted(arrows.items(), key=lambda item: -FLOOR.get(item[0][1], -1)):
            if here == room and there != room:
                print(f"    {n:3d} > {there}/")


def check_itself():
    """A house of two files, right, and then wrong in every way."""
    cases = [
        (True, {"core/base/a.h": "", "ref/b.c": '#include "core/base/a.h"\n'}),
        (True, {"ref/a.h": "", "ref/b.c": '#include "ref/a.h"\n'}),
        (True, {"core/model/operators/a.h": "", "core/model/b.h": '#include "core/model/operators/a.h"\n'}),
        (False, {"core/base/a.h": '#include "ref/b.h"\n', "ref/b.h": ""}),
        (False, {"parallel/a.h": "", "ref/b.c": '#include "parallel/a.h"\n'}),
        (False, {"parallel/a.h": "", "golden/b.c": '#include "parallel/a.h"\n'}),
        (False, {"core/base/a.h": "", "harness/attic/b.c": '#include "core/base/a.h"\n'}),
        (False, {"core/a.h": "", "ref/b.c": '#include "core/a.h"\n'}),
    ]
    for is_right, files in cases:
        with tempfile.TemporaryDirectory() as house:
            for path, text in files.items():
                os.makedirs(os.path.join(house, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(house, path), "w", encoding="utf-8") as out:
                    out.write(text)
            if is_right != (not faults(house)):
                sys.exit(f"the check of rooms is broken: {files}: {faults(house)}")


if sys.argv[1:] == ["--itself"]:
    check_itself()
elif sys.argv[2:] == ["--draw"]:
    draw(sys.argv[1])
else:
    problems = faults(sys.argv[1])
    if not any(True for _ in includes(sys.argv[1])):
        problems.append(f"{sys.argv[1]}: no includes found")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
