"""Rows and notes of the soak test."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.results import Row
from benchmarks.serving.load import percentile_ms
from benchmarks.serving.many import metric
from benchmarks.soak.answers import TOLERANCE
from benchmarks.soak.asks import GONE, LATER, ONE_SERIES
from benchmarks.soak.operator import PROMOTED, call
from benchmarks.soak.record import HUNG_UP, Record, growth_percent, slowest_s
from models.types import JsonObject

MAX_GROWTH_PERCENT = 5.0
SLOWEST_S = 1.0
COUNTED = {
    "model_loads_total": "models loaded",
    "model_evictions_total": "models that made room",
    "alias_moves_total": "moves followed from the other process",
}


def rows(record: Record, memory_mb: Sequence[Sequence[float]], metrics: Sequence[str]) -> list[Row]:
    """Return the rows; each server has ``memory_mb`` samples and its own ``metrics``."""
    outcomes = [(outcome, count) for (_, outcome), count in record.counts.items()]
    later = {f"{status} {code}" for status, code in LATER}
    growth, slowest = max(map(growth_percent, memory_mb)), slowest_s(record.moves, record.seen)
    latency_s = np.array(record.latency_s.get(ONE_SERIES, [np.nan]))
    return [
        _bar("errors", record.failures, 0, "requests"),
        _bar("wrong answers", record.wrongs, 0, "requests"),
        _bar("largest difference to the right answer", record.largest_difference, TOLERANCE, "of its size"),
        _bar("memory growth over the second half, of the server that grew most", growth, MAX_GROWTH_PERCENT, "%"),
        _bar("slowest promotion or rollback seen", slowest, SLOWEST_S, "s"),
        _count("requests", sum(count for _, count in outcomes)),
        _count("requests given up by their clients", sum(n for outcome, n in outcomes if outcome == HUNG_UP)),
        _count("turned away: 429, 503, 504", sum(n for outcome, n in outcomes if outcome in later)),
        _count("forecasts by an earlier version, as the one promoted gives no numbers", record.fell_back),
        _count("promotions and rollbacks", record.counts[PROMOTED, "200"]),
        *(_count(title, sum(metric(text, name) for text in metrics)) for name, title in COUNTED.items()),
        Row(name="p50 of one series", value=percentile_ms(latency_s, 50), unit="ms", better="lower"),
        Row(name="p99 of one series", value=percentile_ms(latency_s, 99), unit="ms", better="lower"),
        Row(name="memory of a server at the end", value=max(own[-1] for own in memory_mb), unit="MB", better="lower"),
    ]


def notes(record: Record, seconds: float, env: Mapping[str, str]) -> JsonObject:
    """Return the settings, the outcomes of each kind of request, and the first failures."""
    answers: dict[str, dict[str, int]] = {}
    for (kind, outcome), count in sorted(record.counts.items()):
        answers.setdefault(kind, {})[outcome] = count
    return {
        "seconds": seconds,
        "settings": dict(env),
        "any_forecast_may_be_told": sorted(f"{status} {code}" for status, code in LATER),
        "a_session_may_also_be_told": sorted(f"{status} {code}" for status, code in GONE),
        "answers": answers,
        "failed": record.failed,
        "wrong": record.wrong,
    }


def metrics_of(port: int, key: str) -> str:
    """Return the metrics of a server."""
    return call(port, key, "GET", "/metrics")[1].decode()


def _bar(name: str, value: float, bar: float, unit: str) -> Row:
    return Row(name=name, value=float(value), unit=unit, better="lower", bar=bar)


def _count(name: str, value: float) -> Row:
    return Row(name=name, value=float(value), unit="", better="higher")
