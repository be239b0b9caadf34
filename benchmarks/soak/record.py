"""What is counted while it goes on; safe to use from several threads."""

import math
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.soak.answers import TOLERANCE, Refusal, Said, difference
from benchmarks.soak.asks import ForecastInput

MAX_TOLD = 20  # of what went wrong
HUNG_UP = "hung up"


class Seen(NamedTuple):
    """An answer: which version of ``model`` its alias meant, from when to when it was waited for."""

    model: str
    version: int
    began_s: float
    ended_s: float


class Move(NamedTuple):
    """An alias of ``model`` was moved to ``version``: asked for at ``began_s``, and answered at ``ended_s``."""

    model: str
    version: int
    began_s: float
    ended_s: float


@dataclass
class Record:
    """``counts``: kind and outcome -> how often; ``wrong`` and ``failed``: the first of each, in words."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    latency_s: dict[str, list[float]] = field(default_factory=dict)
    wrongs: int = 0
    failures: int = 0
    fell_back: int = 0
    largest_difference: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, ask: ForecastInput, answer: Said | Refusal, began_s: float, ended_s: float) -> None:
        """Judge an answer, and count it."""
        if not isinstance(answer, Said):
            status, code = answer
            if answer in ask.refusals:
                self.count(ask.kind, f"{status} {code}")
            else:
                self.fail(ask.kind, f"{ask.model} by {ask.path[:60]}: {status} {code}")
            return
        right = ask.right.get(answer.version)
        off = math.inf if right is None else difference(answer, right, ask.sizes)
        self.count(ask.kind, "200")
        with self._lock:
            self.fell_back += answer.fell_back
            self.latency_s.setdefault(ask.kind, []).append(ended_s - began_s)
            if ask.by_alias:
                self.seen.append(Seen(ask.model, answer.version, began_s, ended_s))
            if off > TOLERANCE:
                self.wrongs += 1
                self._tell(self.wrong, f"{ask.kind} of {ask.model} version {answer.version}: off by {off:.2g}")
            else:
                self.largest_difference = max(self.largest_difference, off)

    def fail(self, kind: str, why: str) -> None:
        """Count what is no answer."""
        self.count(kind, "error")
        with self._lock:
            self.failures += 1
            self._tell(self.failed, f"{kind}: {why[:400]}")

    def moved(self, move: Move) -> None:
        """An alias was moved to a version that works."""
        with self._lock:
            self.moves.append(move)

    def count(self, kind: str, outcome: str) -> None:
        """Count a request of some kind, and what came of it."""
        with self._lock:
            self.counts[kind, outcome] += 1

    @staticmethod
    def _tell(those: list[str], one: str) -> None:
        if len(those) < MAX_TOLD:
            those.append(one)


def slowest_s(moves: Sequence[Move], seen: Sequence[Seen]) -> float:
    """By how much any request that was begun after an alias had moved was still answered by the version before.

    Infinite where a version answered that the alias did not point at yet, or never did.
    """
    tenures = {model: tenures_of(of_one) for model, of_one in _by_model(moves).items()}
    return max((_late_s(tenures[one.model].get(one.version, []), one) for one in seen), default=0.0)


def tenures_of(moves: Sequence[Move]) -> Mapping[int, list[tuple[float, float]]]:
    """Of each version from when to when its alias may have pointed at it, in order."""
    found: dict[int, list[tuple[float, float]]] = {}
    ordered = sorted(moves, key=lambda move: move.began_s)
    for move, following in zip(ordered, [*ordered[1:], None], strict=True):
        found.setdefault(move.version, []).append((move.began_s, math.inf if following is None else following.ended_s))
    return found


def growth_percent(samples: Sequence[float]) -> float:
    """By how much the last tenth of ``samples`` is above the first tenth of their second half, by their medians."""
    half, tenth = len(samples) // 2, max(1, len(samples) // 10)
    begin, end = _median(samples[half : half + tenth]), _median(samples[-tenth:])
    return 100 * (end / begin - 1)


def _late_s(tenures: Sequence[tuple[float, float]], one: Seen) -> float:
    known = bisect_right(tenures, (one.ended_s, math.inf))  # those that began before it was answered
    return max(0.0, one.began_s - tenures[known - 1][1]) if known else math.inf


def _by_model(moves: Sequence[Move]) -> Mapping[str, list[Move]]:
    found: dict[str, list[Move]] = {}
    for move in moves:
        found.setdefault(move.model, []).append(move)
    return found


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
