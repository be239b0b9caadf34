"""Measured walks of a request: the files that it enters, and its calls from a lower to a higher floor."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tests.facts import ROOT
from tests.test_layers import DOORS, MODEL_DOORS


class Walk(NamedTuple):
    """Distinct files in order of entry, and the distinct climbs as (calling file, called file)."""

    files: tuple[str, ...]
    climbs: tuple[tuple[str, str], ...]


def floors() -> dict[str, int]:
    """Return the floor of each room: one more than the highest floor that the room may import."""
    doors = {
        f"app/{name}": {f"app/{door}" for door in allowed if door in DOORS} - {"app/migrations"}
        for name, allowed in DOORS.items()
    }
    doors |= {f"models/{name}": {f"models/{door}" for door in allowed} for name, allowed in MODEL_DOORS.items()}
    library = set(MODEL_DOORS)
    for name, allowed in DOORS.items():
        if "models" in allowed:
            doors[f"app/{name}"] |= {f"models/{folder}" for folder in library}
    heights: dict[str, int] = {}
    for room in TopologicalSorter(doors).static_order():
        heights[room] = 1 + max((heights[below] for below in doors.get(room, ())), default=-1)
    return heights


def room_of(file: str) -> str:
    """Return ``app/store`` for ``app/store/db.py`` and ``app/main`` for ``app/main.py``."""
    return "/".join(file.removesuffix(".py").split("/")[:2])


@contextmanager
def traced() -> Iterator[list[tuple[str | None, str]]]:
    """Record (calling file, called file) of every call of a first-party function, in all threads."""
    prefixes, calls = (f"{ROOT / 'app'}/", f"{ROOT / 'models'}/"), list[tuple[str | None, str]]()

    def first_party(frame: FrameType | None) -> str | None:
        while frame is not None and not frame.f_code.co_filename.startswith(prefixes):
            frame = frame.f_back
        return None if frame is None else Path(frame.f_code.co_filename).relative_to(ROOT).as_posix()

    def hook(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(prefixes):
            called = Path(frame.f_code.co_filename).relative_to(ROOT).as_posix()
            calls.append((first_party(frame.f_back), called))

    threading.setprofile_all_threads(hook) if hasattr(threading, "setprofile_all_threads") else threading.setprofile(
        hook
    )
    sys.setprofile(hook)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def walk_of(calls: list[tuple[str | None, str]]) -> Walk:
    """Return the files that the calls enter and the calls that climb."""
    heights, entered, climbs = floors(), dict[str, None](), dict[tuple[str, str], None]()
    for caller, called in calls:
        entered[called] = None
        if caller is not None and heights[room_of(called)] > heights[room_of(caller)]:
            climbs[caller, called] = None
    return Walk(tuple(entered), tuple(climbs))
