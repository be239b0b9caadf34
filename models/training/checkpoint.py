"""Checkpoint of long work as bytes: the results of finished steps, and the state of the step in progress.

A finished step is not run again, the step in progress continues from its last saved state. The bytes hold no code and
are only read by the same work: ``key`` identifies it. The function ``due`` decides when to save, because this library
reads no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from models.data.serialization import NamedArrays, pack, unpack
from models.errors import BundleError
from models.types import JsonObject

FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointEntry:
    """Result or state of a step: ``facts`` (JSON values) and arrays of float32, float64 or int64."""

    facts: JsonObject = field(default_factory=dict)
    arrays: NamedArrays = field(default_factory=dict)


SaveEntry = Callable[[Callable[[], CheckpointEntry]], None]


# Named functions instead of lambdas, because a checkpoint may be pickled for another process.
def discard(data: bytes) -> None:
    """Do not store the checkpoint."""


def always_false() -> bool:
    """Return False."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class StepCheckpoint:
    """Checkpoint of one step: ``entry`` is its last saved state, ``save`` stores a new one if that is due."""

    entry: CheckpointEntry | None = None
    save: SaveEntry = lambda make: None


class Checkpoint:
    """Checkpoint of the work ``key``; ``keep`` receives all of it as bytes after a change, if ``due`` returns True."""

    def __init__(
        self, key: str = "", keep: Callable[[bytes], None] = discard, due: Callable[[], bool] = always_false
    ) -> None:
        self._key, self._keep, self._due = key, keep, due
        self._done: dict[str, CheckpointEntry] = {}
        self._open: tuple[str, CheckpointEntry] | None = None

    def restore(self, data: bytes) -> None:
        """Continue from bytes that were kept.

        Raises:
            BundleError: the bytes are damaged, of another format, or of other work; then nothing has changed.
        """
        header, arrays = unpack(data)
        if (header.get("format"), header.get("key")) != (FORMAT, self._key):
            raise BundleError("the checkpoint belongs to other work, or was written by another release")
        try:
            entries = {
                str(step): CheckpointEntry(
                    dict(facts),
                    {name.removeprefix(f"{i}:"): array for name, array in arrays.items() if name.startswith(f"{i}:")},
                )
                for i, (step, facts) in enumerate(header["entries"])
            }
            at_work = header["at_work"]
            last = None if at_work is None else (at_work, entries.pop(at_work))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("the checkpoint's header cannot be read") from error
        self._done, self._open = entries, last

    def to_bytes(self) -> bytes:
        """Return the checkpoint as bytes for ``restore``."""
        entries = [*self._done.items(), *([] if self._open is None else [self._open])]
        header = {
            "format": FORMAT,
            "key": self._key,
            "entries": [[step, entry.facts] for step, entry in entries],
            "at_work": None if self._open is None else self._open[0],
        }
        return pack(header, {f"{i}:{n}": a for i, (_, entry) in enumerate(entries) for n, a in entry.arrays.items()})

    def find(self, step: str) -> CheckpointEntry | None:
        """Return the result of ``step``; None if it is not finished."""
        return self._done.get(step)

    def find_all(self, prefix: str) -> list[CheckpointEntry]:
        """Return the results of the finished steps whose names begin with ``prefix``."""
        return [entry for step, entry in self._done.items() if step.startswith(prefix)]

    def open(self, step: str) -> StepCheckpoint:
        """Return the checkpoint of ``step``, in which it saves its state while it runs."""
        entry = self._open[1] if self._open is not None and self._open[0] == step else None

        def save(make: Callable[[], CheckpointEntry]) -> None:
            if self._due():
                self._open = (step, make())
                self._keep(self.to_bytes())

        return StepCheckpoint(entry, save)

    def finish(self, step: str, entry: CheckpointEntry) -> CheckpointEntry:
        """Store ``entry`` as the result of ``step`` and return it."""
        self._done[step], self._open = entry, None
        if self._due():
            self._keep(self.to_bytes())
        return entry
