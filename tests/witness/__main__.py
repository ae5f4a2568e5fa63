"""Command line of scripts/oracle."""
import argparse
import sys
import tempfile
from pathlib import Path

import torch
import transformers

import again
from case import Case
from check import differences
from families import CASES, FAMILIES
from folder import write

COMMITTED = Path(__file__).resolve().parents[2] / "golden/data/oracle"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/oracle", description="cases of the third witness")
    parser.add_argument("names", nargs="*", metavar="FAMILY[/CASE]", help="which (none: all)")
    parser.add_argument("--list", action="store_true", help="print the cases and make none")
    parser.add_argument("--check", action="store_true", help="make them apart and compare with the committed ones")
    parser.add_argument("--again", action="store_true", help="run what earlier releases were committed for, and print how far it is off")
    parser.add_argument("--out", type=Path, default=COMMITTED, metavar="DIR", help="write to DIR/FAMILY/CASE")
    parser.add_argument("--modules", action="store_true", help="also write what each module gives, in float64")
    return parser.parse_args()


def _chosen(names: list[str]) -> list[Case]:
    known = {case.family for case in CASES} | {f"{case.family}/{case.name}" for case in CASES}
    if unknown := set(names) - known:
        sys.exit(f"scripts/oracle: no such family or case: {', '.join(sorted(unknown))}; --list names them")
    return [case for case in CASES if not names or {case.family, f"{case.family}/{case.name}"} & set(names)]


def _check(case: Case) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        write(case, FAMILIES[case.family], Path(folder))
        found = differences(COMMITTED / case.family / case.name, Path(folder))
    print(f"{case.family}/{case.name}: {'; '.join(found) or 'the same'}", flush=True)
    return not found


def _again() -> None:
    for folder in sorted(path.parent for path in COMMITTED.glob("*/*/expected.safetensors")):
        if (version := again.version_of(folder)) != transformers.__version__:
            print(f"{folder.parent.name}/{folder.name}: {again.distance(folder):.2g} from {version}", flush=True)


def main() -> int:
    arguments = _arguments()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # tiny products, and sums in one order
    if arguments.again:
        _again()
        return 0
    cases = _chosen(arguments.names)
    if arguments.list:
        print("\n".join(f"{case.family}/{case.name}" for case in cases))
        return 0
    if arguments.check:
        return 0 if all([_check(case) for case in cases]) else 1
    for case in cases:
        folder = arguments.out / case.family / case.name
        made = write(case, FAMILIES[case.family], folder, arguments.modules)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1000
        print(f"{case.family}/{case.name}: {size:.0f} kB, seed {made.seed}, margin {made.least_margin:.2g}, "
              f"float32 off by {made.worst:.2g}", flush=True)
    return 0


sys.exit(main())
