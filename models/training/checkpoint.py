"""A diary of long work: which of its steps are done, and how far the one at work is, as bytes for who goes on with it.

A step that is done is not done again, the one at work goes on from its last note. Nothing in it is code, and nothing is
read that was written for other work: its ``key`` says what it is of. When it is worth keeping, ``due`` says, for this
library reads no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models.data.serialization import NamedArrays, pack, unpack
from models.errors import BundleError

FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointEntry:
    """What a step came to, or how far it is: ``facts`` (JSON values) and arrays of float32, float64 or int64."""

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: NamedArrays = field(default_factory=dict)


SaveEntry = Callable[[Callable[[], CheckpointEntry]], None]


# Functions with names, for a diary may be sent to another process.
def discard(data: bytes) -> None:
    """It is not kept."""


def always_false() -> bool:
    """No."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class StepCheckpoint:
    """The place of one step: ``entry`` is the last note of who was interrupted there; ``save`` makes one, if due."""

    entry: CheckpointEntry | None = None
    save: SaveEntry = lambda make: None


class Checkpoint:
    """The diary of the work ``key``; ``keep`` is given all of it as bytes, whenever ``due`` says so after a change."""

    def __init__(
        self, key: str = "", keep: Callable[[bytes], None] = discard, due: Callable[[], bool] = always_false
    ) -> None:
        self._key, self._keep, self._due = key, keep, due
        self._done: dict[str, CheckpointEntry] = {}
        self._open: tuple[str, CheckpointEntry] | None = None

    def restore(self, data: bytes) -> None:
        """Go on from what was kept.

        Raises:
            BundleError: the bytes are damaged, of another format, or of other work; then nothing has changed.
        """
        header, arrays = unpack(data)
        if (header.get("format"), header.get("key")) != (FORMAT, self._key):
            raise BundleError("the diary is of other work, or was written by another release")
        try:
            entries = {
                str(step): CheckpointEntry(dict(facts), _with_prefix(arrays, f"{i}:"))
                for i, (step, facts) in enumerate(header["entries"])
            }
            at_work = header["at_work"]
            last = None if at_work is None else (at_work, entries.pop(at_work))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("the diary's header cannot be read") from error
        self._done, self._open = entries, last

    def to_bytes(self) -> bytes:
        """The diary as bytes that ``restore`` reads."""
        entries = [*self._done.items(), *([] if self._open is None else [self._open])]
        header = {
            "format": FORMAT,
            "key": self._key,
            "entries": [[step, entry.facts] for step, entry in entries],
            "at_work": None if self._open is None else self._open[0],
        }
        return pack(header, {f"{i}:{n}": a for i, (_, entry) in enumerate(entries) for n, a in entry.arrays.items()})

    def find(self, step: str) -> CheckpointEntry | None:
        """What ``step`` came to; None where it is not done."""
        return self._done.get(step)

    def find_all(self, prefix: str) -> list[CheckpointEntry]:
        """What the steps that are done and begin with ``prefix`` came to."""
        return [entry for step, entry in self._done.items() if step.startswith(prefix)]

    def open(self, step: str) -> StepCheckpoint:
        """Where ``step`` is noted while it is at work."""
        entry = self._open[1] if self._open is not None and self._open[0] == step else None

        def save(make: Callable[[], CheckpointEntry]) -> None:
            if self._due():
                self._open = (step, make())
                self._keep(self.to_bytes())

        return StepCheckpoint(entry, save)

    def finish(self, step: str, entry: CheckpointEntry) -> CheckpointEntry:
        """``step`` is done; what it came to."""
        self._done[step], self._open = entry, None
        if self._due():
            self._keep(self.to_bytes())
        return entry


def _with_prefix(arrays: NamedArrays, prefix: str) -> NamedArrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
