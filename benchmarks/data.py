"""Data of the benchmarks: their location and their descriptions.

Every set is a Parquet file in long form (``unique_id``, ``ds``, ``y``) and a card, a JSON file with frequency, horizon,
season, source and licence. ``python -m benchmarks.data`` prints the source of each set, so that anyone can repeat the
benchmarks; it needs no data for that: ``sources.json`` beside this file repeats the cards.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import ROOT
from models.data.calendar import Freq, parse_freq
from models.data.panel import Panel
from models.errors import InputError
from models.types import Floats, JsonObject, Times

SOURCES = Path(__file__).parent / "sources.json"
MAX_OFF_GRID = 0.01  # a series with a larger share of its rows off its own grid is not a regular series
SECOND = np.timedelta64(1, "s")


def folder() -> Path:
    """Return the data folder: ``BENCH_DATA``, or ``../shared/data`` beside the repository."""
    found = Path(os.environ.get("BENCH_DATA", ROOT.parent / "shared" / "data"))
    if not (found / "cards").is_dir():
        raise SystemExit(f"no data in {found}: set BENCH_DATA; python -m benchmarks.data says where it can be had")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Set of series at one frequency; ``horizon`` and ``season`` are in steps, season 1 means none."""

    name: str
    file: Path
    freq: Freq
    horizon: int
    season: int
    ids: tuple[str, ...] = ()  # only these series; none named: all of the file

    def panel(self) -> Panel:
        """Return the series on their regular grid: NaN for a missing row or value, without leading and trailing
        gaps.
        """
        frame = pd.read_parquet(self.file, columns=["unique_id", "ds", "y"])
        if self.ids:
            frame = frame[frame["unique_id"].isin(self.ids)]
        return panel_of(self.freq, ((str(name), *self._regular(rows)) for name, rows in frame.groupby("unique_id")))

    def _regular(self, rows: pd.DataFrame) -> tuple[np.datetime64, Floats]:
        times, values = rows["ds"].to_numpy().astype("datetime64[us]"), rows["y"].to_numpy(np.float64)
        seen = np.isfinite(values)
        times, values = times[seen], values[seen]
        steps, _ = self.freq.steps(np.full_like(times, times[0]), times)
        y = np.full(int(steps[-1]) + 1, np.nan)
        y[steps[::-1]] = values[::-1]  # of two rows in one step the first counts
        return times[0], y


def panel_of(freq: Freq, series: Iterable[tuple[str, np.datetime64, Floats]]) -> Panel:
    """Return a panel of (name, first timestamp, values) at ``freq``."""
    ids, starts, parts = zip(*series, strict=True)
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return Panel(tuple(ids), np.array(starts, dtype="datetime64[us]"), np.concatenate(parts), indptr, freq)


def cards() -> list[JsonObject]:
    """Return the card of every set by name."""
    return [json.loads(path.read_text()) for path in sorted((folder() / "cards").glob("*.json"))]


def datasets() -> dict[str, Dataset]:
    """Return every set by name; a set of several frequencies becomes one set for each, with the frequency in its
    name.
    """
    return {each.name: each for card in cards() for each in _sets(card)}


def _sets(card: JsonObject) -> list[Dataset]:
    file = folder() / card["file"]
    try:
        freq = parse_freq(card["freq"])
    except InputError:
        return _mixed(card, file)
    horizon, season = card["horizon"], card["seasonality"]
    return [Dataset(name=card["name"], file=file, freq=freq, horizon=horizon, season=season)]


def _mixed(card: JsonObject, file: Path) -> list[Dataset]:
    """Return one set for each frequency of a card; horizon and season span the same time in each."""
    first = next(word for word in re.findall(r"\w+", card["freq"]) if re.match(r"\d", word))
    unit = pd.Timedelta(first).to_timedelta64()
    by_step: dict[np.timedelta64, list[str]] = {}
    for name, rows in pd.read_parquet(file, columns=["unique_id", "ds"]).groupby("unique_id"):
        step, off_grid = usual_step(rows["ds"].to_numpy())
        if off_grid <= MAX_OFF_GRID:
            by_step.setdefault(step, []).append(str(name))
    return [
        Dataset(
            name=f"{card['name']}_{freq}",
            file=file,
            freq=freq,
            horizon=max(1, int(card["horizon"] * unit / step)),
            season=max(1, int(card["seasonality"] * unit / step)),
            ids=tuple(ids),
        )
        for step, ids in by_step.items()
        for freq in [_freq_of(step)]
    ]


def usual_step(times: Times) -> tuple[np.timedelta64, float]:
    """Return the most common step between ``times`` (n,), and the share of times off the grid of such steps."""
    steps, counts = np.unique(np.diff(times), return_counts=True)
    step: np.timedelta64 = steps[counts.argmax()]
    return step, float(((times - times[0]) % step != np.timedelta64(0)).mean())


def _freq_of(step: np.timedelta64) -> Freq:
    minutes = int(step / SECOND) // 60
    return Freq(minutes // 60, "h") if minutes % 60 == 0 else Freq(minutes, "min")


def sources() -> list[JsonObject]:
    """Return name, title, licence and source of every set from the cards."""
    names = ("name", "title", "freq", "horizon", "seasonality", "licence", "source", "notes", "sha256")
    return [{name: card[name] for name in names} | {"files": _files(card)} for card in cards()]


def _files(card: JsonObject) -> list[str]:
    return sorted({Path(file["path"]).name for file in card["original_files"]})


def where(source: JsonObject | list[JsonObject]) -> str:
    """Describe the source of a set in words."""
    if isinstance(source, list):
        return "; ".join(map(where, source))
    if source["kind"] == "github":
        return f"https://github.com/{source['repo']}/tree/{source['commit']}"
    return f"Python package {source['package']} {source['version']}"


def main() -> int:
    """Print the source of every set; with ``--write`` update ``sources.json`` from the cards."""
    if "--write" in sys.argv:
        SOURCES.write_text(json.dumps(sources(), indent=1) + "\n")
    for each in json.loads(SOURCES.read_text()):
        print(f"{each['name']}: {each['title']}\n  licence: {each['licence']}\n  from: {where(each['source'])}")
        print(f"  files: {', '.join(each['files'][:5])}{' …' if len(each['files']) > 5 else ''}")
    print("\nEach as a Parquet file with unique_id, ds, y, and a card beside it: NAME.parquet and cards/NAME.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
