"""Settings as a tree: its leaves by dotted path, and a copy in which one of them is another."""
import copy
from typing import Any, Iterator

from case import Settings


def leaves(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def changed(settings: Settings, path: str, value: Any) -> Settings:
    result = copy.deepcopy(settings)
    *folders, name = path.split(".")
    place = result
    for folder in folders:
        place = place[folder]
    place[name] = value
    return result


def another(value: Any) -> Any:
    """A value unlike this one and of its type; None if there is no saying which."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 0.5 if value == 0.0 else value * (1000.0 if value < 1e-3 else 1.5)
    return None
