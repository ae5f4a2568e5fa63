"""Who calls whom inside a room: the sources of each archive may not call each other in a circle.

    circles.py ARCHIVE...   fails on a circle that STAYING does not explain, and on what it explains in vain
    circles.py --itself     shows that both failures are seen
"""
import os
import re
import subprocess
import sys

# (room, caller, called; * for all that call back): the calls that run up, each with the reason why it stays.  Without them no
# circle is left.
STAYING = {
    ("ref", "forward", "layer"): "operators show their values to the pass (ref__put), whose options say who wants them",
    ("ref", "forward", "linear"): "the same",
    ("ref", "forward", "operand"): "the same",
    ("ref", "forward", "norm"): "the same",
    ("parallel", "operators", "*"): "the table of operators points at each, and an operator asks it for others",
    ("parallel", "work", "attention"): "whether a stage has attention is asked with attention's row",
    ("parallel", "plan_check", "plan_legal"): "a refusal names the nearest legal plan, which is found by asking",
    ("parallel", "board", "comm_ops"): "the board says in words which operation a rank is in",
    ("parallel", "board_check", "comm_ops"): "the same",
    ("parallel", "comm_watch", "comm_mpi"): "whoever waits watches the ranks; a watch that sees one die ends all",
    ("parallel", "hold", "comm_mpi"): "a rank that cannot be held ends all",
    ("parallel", "comm_mpi", "comm_ops"): "the first and the last thing all ranks do is an operation of theirs",
    ("parallel", "comm_mpi", "comm_agree"): "the communicator of all ranks is made as every other is",
    ("parallel", "comm_mpi", "comm_shared"): "a start chooses what carries messages, and whatever fails ends all",
    ("harness_machine", "carry", "read"): "a file may name the one that its coefficients come from, which is read as it is",
    ("parallel", "comm_mpi", "comm_message"): "the length of a message is judged in one place, and a start says what the rank does",
}


def calls(symbols):
    """{(caller, called): names}, from what nm says of an archive."""
    defined, wanted, source = {}, [], None
    for line in symbols.splitlines():
        word = line.split()
        if line.endswith(".o:"):
            source = re.sub(r"\.c\.o:$", "", line)
        elif len(word) == 2 and word[0] == "U":
            wanted.append((source, word[1]))
        elif len(word) == 3:
            defined[word[2]] = source
    found = {}
    for caller, name in wanted:
        if name in defined:
            found.setdefault((caller, defined[name]), set()).add(name)
    return found


def way(arrows, start, end):
    """The sources on a shortest way of calls from start to end, both included; None if there is none."""
    ways = [[start]]
    seen = {start}
    for path in ways:
        if path[-1] == end:
            return path
        for here, there in sorted(arrows):
            if here == path[-1] and there not in seen:
                seen.add(there)
                ways.append(path + [there])
    return None


def circle_text(arrows, circle):
    steps = [f" > {there}.c ({', '.join(sorted(arrows[here, there]))})" for here, there in zip(circle, circle[1:])]
    return f"{circle[0]}.c" + "".join(steps)


def faults(room, symbols, staying):
    arrows = calls(symbols)
    explained = {(here, there) for in_room, here, there in staying if in_room == room and there != "*"}
    for in_room, here, there in staying:
        if in_room == room and there == "*":
            back = {arrow for arrow in arrows if arrow[0] == here and way(arrows, arrow[1], here)}
            explained |= back or {(here, there)}
    rest = {arrow: names for arrow, names in arrows.items() if arrow not in explained}
    found, told = [], set()
    for here, there in sorted(rest):
        back = way(rest, there, here)
        if back is not None and not {here, there} <= told:
            told |= set(back)
            found.append(f"{room}: a circle: {circle_text(rest, [here] + back)}")
    for here, there in sorted(explained):
        if (here, there) not in arrows or way(arrows, there, here) is None:
            found.append(f"{room}: {here}.c > {there}.c is in no circle: take it from STAYING in {__file__}")
    return found


def check_itself():
    """Two sources, one calling the other; then both ways; then a third between them."""
    down = "\na.c.o:\n                 U g\n0000 T f\n\nb.c.o:\n0000 T g\n"
    both = down + "                 U f\n"
    long = down + "                 U h\n\nc.c.o:\n                 U f\n0000 T h\n"
    up = {("room", "b", "a"): "a reason"}
    cases = [(True, down, {}), (False, both, {}), (False, long, {}), (True, both, up), (False, down, up),
             (False, long, up), (True, long, {("room", "c", "a"): "a reason"}),
             (True, both, {("room", "b", "*"): "a reason"}), (False, down, {("room", "b", "*"): "a reason"})]
    for is_right, symbols, staying in cases:
        if is_right != (not faults("room", symbols, staying)):
            sys.exit(f"the check of circles is broken: {symbols} {staying}: {faults('room', symbols, staying)}")


if sys.argv[1:] == ["--itself"]:
    check_itself()
else:
    problems, n_call = [], 0
    unseen = {room for room, _, _ in STAYING}
    for archive in sys.argv[1:]:
        room = re.sub(r"^lib(.*)\.a$", r"\1", os.path.basename(archive))
        unseen.discard(room)
        symbols = subprocess.run(["nm", "-g", archive], check=True, capture_output=True, text=True).stdout
        n_call += len(calls(symbols))
        problems += faults(room, symbols, STAYING)
    problems += [f"{room}: stands in STAYING, and no such archive was given" for room in sorted(unseen)]
    if n_call == 0:
        problems.append("no calls found in " + " ".join(sys.argv[1:]))
    print("\n".join(problems))
    sys.exit(1 if problems else 0)
