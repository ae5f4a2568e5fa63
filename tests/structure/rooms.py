"""Who may include whom: draws the graph of #include between the rooms of a checkout.

    rooms.py SOURCE_DIR          fails on an arrow that runs up, a circle, a folder that is no room, a private
                                 header (*impl.h) that another room includes, and on a room that is not one
                                 target, one line of README.md and one row, a true one, of docs/architecture.md
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
    ["core/blas", "core/numbers"],
    ["core/files"],
    ["core/model"],
    ["core/weights", "core/pass"],
    ["ref", "parallel"],
    ["golden"],
    ["harness/words", "harness/systems", "harness/diagnose"],
    ["harness/launch"],
    ["harness/verify", "harness/live"],
    ["harness/perf/cost"],
    ["harness/perf/machine"],
    ["harness/perf/predict", "harness/perf/audit"],
    ["harness/perf/score"],
    ["harness/perf/calibrate", "harness/perf/search"],
    ["harness/page"],
    ["harness/judge"],
    ["harness/program"],
]
# Below, and yet not to be seen: golden holds what any partition must give, so it knows none.
FORBIDDEN = {("golden", "parallel")}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ORDER = list(FLOOR)


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
        if included.endswith("impl.h"):
            found.append(f"{file} includes {included}: it is private to {there}/")
    return found


def read(source_dir, path):
    with open(os.path.join(source_dir, path), encoding="utf-8") as text:
        return text.read()


def below(source_dir):
    """{room: what it includes, from the ground up, as docs/architecture.md names it}"""
    seen = {}
    for file, included in includes(source_dir):
        here, there = room_of(file), room_of(included)
        seen.setdefault(here, set()).update({there} - {here})
    return {room: ", ".join(os.path.basename(there) for there in ORDER if there in seen[room]) or "nothing"
            for room in ORDER if room in seen}


def page_faults(source_dir):
    found = []
    readme, guide = (read(source_dir, page) for page in ("README.md", "docs/architecture.md"))
    for room, names in below(source_dir).items():
        if read(source_dir, room + "/CMakeLists.txt").count(" STATIC") != 1:
            found.append(f"{room}/CMakeLists.txt: expected one library")
        if f"\n| `{room}/` | " not in readme:
            found.append(f"README.md: expected a line of the table of folders for {room}/")
        if not re.search(rf"\n\| `{room}/` \| .* \| {names} \|\n", guide):
            found.append(f"docs/architecture.md: expected a row | `{room}/` | what it holds | {names} |")
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


def build(house, files):
    for path, text in files.items():
        os.makedirs(os.path.join(house, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(house, path), "w", encoding="utf-8") as out:
            out.write(text)


def check_itself():
    """A house of two files, right, and then wrong in every way; then its pages."""
    cases = [
        (True, {"core/base/a.h": "", "ref/b.c": '#include "core/base/a.h"\n'}),
        (True, {"ref/a.h": "", "ref/b.c": '#include "ref/a.h"\n'}),
        (True, {"core/base/impl.h": "", "core/base/b.c": '#include "core/base/impl.h"\n'}),
        (False, {"core/base/impl.h": "", "ref/b.c": '#include "core/base/impl.h"\n'}),
        (True, {"core/model/operators/a.h": "", "core/model/b.h": '#include "core/model/operators/a.h"\n'}),
        (False, {"core/base/a.h": '#include "ref/b.h"\n', "ref/b.h": ""}),
        (False, {"parallel/a.h": "", "ref/b.c": '#include "parallel/a.h"\n'}),
        (False, {"parallel/a.h": "", "golden/b.c": '#include "parallel/a.h"\n'}),
        (False, {"core/base/a.h": "", "harness/attic/b.c": '#include "core/base/a.h"\n'}),
        (False, {"core/a.h": "", "ref/b.c": '#include "core/a.h"\n'}),
    ]
    for is_right, files in cases:
        with tempfile.TemporaryDirectory() as house:
            build(house, files)
            if is_right != (not faults(house)):
                sys.exit(f"the check of rooms is broken: {files}: {faults(house)}")

    right = {"ref/b.c": '#include "core/base/a.h"\n', "ref/CMakeLists.txt": "add_library(ref STATIC b.c)\n",
             "README.md": "\n| `ref/` | a pass |\n", "docs/architecture.md": "\n| `ref/` | a pass | base |\n"}
    wrong = [{}, {"ref/CMakeLists.txt": ""}, {"README.md": "ref\n"},
             {"docs/architecture.md": "\n| `ref/` | a pass | base, model |\n"}]
    for change in wrong:
        with tempfile.TemporaryDirectory() as house:
            build(house, right | change)
            if (not change) != (not page_faults(house)):
                sys.exit(f"the check of pages is broken: {change}: {page_faults(house)}")


if sys.argv[1:] == ["--itself"]:
    check_itself()
elif sys.argv[2:] == ["--draw"]:
    draw(sys.argv[1])
else:
    problems = faults(sys.argv[1]) + page_faults(sys.argv[1])
    if not any(True for _ in includes(sys.argv[1])):
        problems.append(f"{sys.argv[1]}: no includes found")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
