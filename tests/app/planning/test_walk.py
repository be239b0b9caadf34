"""The number of files that a reader opens to follow a training job from its request to its answer."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from app.planning.jobs import submit_job
from app.planning.train import TrainRequest
from tests.app.planning.conftest import PlanningRoom
from tests.app.work.small_jobs import weeks

ROOT = Path(__file__).parents[3]
FLOORS = {"models": 0, "store": 1, "planning": 2}
# Transactions, their ends and column types: libraries call them, so nobody comes to them who follows the calls.
CALLED_BY_LIBRARIES = ("app/store/db.py", "app/store/tables/base.py", "app/store/audit_chain.py")
MAX_FILES = 27


def floor(file: str) -> int:
    """Return the floor of the room that a file is in."""
    first, second, *_ = file.split("/")
    return FLOORS[first if first == "models" else second]


@contextlib.contextmanager
def calls_between_files() -> Iterator[list[tuple[str, str]]]:
    """The calls from one file to another, in order: (caller, called).

    Calls within the library are left out, but for those of ``models/training``: a reader need not open what they call
    in turn to know how a job is planned.
    """
    calls: list[tuple[str, str]] = []

    def name(frame: FrameType | None) -> str:
        path = Path(frame.f_code.co_filename) if frame is not None else Path()
        return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            file, caller = name(frame), name(frame.f_back)
            is_detail = file.startswith("models/") and caller.startswith("models/") and "/training/" not in caller
            if file.startswith(("app/", "models/")) and file not in (caller, *CALLED_BY_LIBRARIES) and not is_detail:
                calls.append((caller, file))

    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def test_a_training_job_is_planned_in_few_files_and_from_the_top_down(room: PlanningRoom) -> None:
    if sys.getprofile() is not None:
        pytest.skip("another profiler is at work")
    room.store("sales", weeks())
    request = TrainRequest.model_validate({"model": "demand", "dataset": "sales"})
    with calls_between_files() as calls:
        submit_job(room.database, room.settings, room.principal, request)
    visited = list(dict.fromkeys(called for _, called in calls))
    assert len(visited) <= MAX_FILES, visited
    assert [call for call in calls if call[0] in visited and floor(call[1]) > floor(call[0])] == []
