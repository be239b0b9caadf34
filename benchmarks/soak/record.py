"""Counters of the soak test; safe to use from several threads."""

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
    """Observed answer: the version of ``model`` behind its alias, and the times of request and answer."""

    model: str
    version: int
    began_s: float
    ended_s: float


class Move(NamedTuple):
    """Move of an alias of ``model`` to ``version``: requested at ``began_s``, answered at ``ended_s``."""

    model: str
    version: int
    began_s: float
    ended_s: float


@dataclass
class Record:
    """``counts``: frequency by kind and outcome; ``wrong`` and ``failed``: the first of each as text."""

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
        """Check an answer and count it."""
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
        """Count a failure to answer."""
        self.count(kind, "error")
        with self._lock:
            self.failures += 1
            self._tell(self.failed, f"{kind}: {why[:400]}")

    def moved(self, move: Move) -> None:
        """Record a move of an alias to a valid version."""
        with self._lock:
            self.moves.append(move)

    def count(self, kind: str, outcome: str) -> None:
        """Count a request and its outcome."""
        with self._lock:
            self.counts[kind, outcome] += 1

    @staticmethod
    def _tell(those: list[str], one: str) -> None:
        if len(those) < MAX_TOLD:
            those.append(one)


def slowest_s(moves: Sequence[Move], seen: Sequence[Seen]) -> float:
    """Return the longest delay after a move during which a new request still got the earlier version.

    Infinite if a version answered before or without its alias pointing at it.
    """
    tenures = {model: tenures_of(of_one) for model, of_one in _by_model(moves).items()}
    return max((_late_s(tenures[one.model].get(one.version, []), one) for one in seen), default=0.0)


def tenures_of(moves: Sequence[Move]) -> Mapping[int, list[tuple[float, float]]]:
    """Return for each version the interval in which its alias may have pointed at it, in order."""
    found: dict[int, list[tuple[float, float]]] = {}
    ordered = sorted(moves, key=lambda move: move.began_s)
    for move, following in zip(ordered, [*ordered[1:], None], strict=True):
        found.setdefault(move.version, []).append((move.began_s, math.inf if following is None else following.ended_s))
    return found


def growth_percent(samples: Sequence[float]) -> float:
    """Return the growth from the first to the last tenth of the second half of ``samples``, by medians."""
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
