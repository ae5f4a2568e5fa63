"""The table of families, and their cases."""
from dataclasses import replace

from case import Case, Family

from . import attention, earlier, plain, recurrent, wrapped

_ENTRIES = earlier.TABLE | recurrent.TABLE | attention.TABLE | plain.TABLE | wrapped.TABLE
FAMILIES: dict[str, Family] = {name: family for name, (family, _) in _ENTRIES.items()}
CASES: list[Case] = [replace(case, family=name) for name, (_, cases) in _ENTRIES.items() for case in cases]
