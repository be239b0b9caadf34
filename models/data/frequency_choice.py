"""Choice of the frequency of timestamps: the given one, a model's if it fits them, or the one that they show."""

from dataclasses import dataclass

import numpy as np

from models.data.calendar import DAY_US, KNOWN_FREQUENCIES, MONTHS, UNIT_US, Freq, parse_freq
from models.errors import InputError
from models.types import Ints, Times

MIN_USUAL_SHARE = 0.9  # of the steps between the timestamps of a series
MIN_USUAL_STEPS = 20


@dataclass(frozen=True, slots=True)
class PreferredFreq:
    """Frequency of the model that will read the rows; it is used if the timestamps fit it."""

    text: str


FreqChoice = str | PreferredFreq | None  # given by the user, the model's, or unknown


def choose_freq(choice: FreqChoice, times: Times) -> Freq:
    """Return the frequency of the timestamps of one series, (R,) in order of time.

    A preferred frequency fits if all timestamps are on its grid and the shortest step between them is one step of it:
    hourly timestamps are on the grid of ``15min`` too. Fewer than three timestamps show no frequency of their own, so
    the preferred one is taken without this test, and a timestamp off its grid is reported later, with its row.

    Raises:
        InputError: ``unknown_frequency`` if the given one is not supported, or the timestamps fit none.
    """
    if isinstance(choice, str):
        return parse_freq(choice)
    if choice is None:
        return infer_freq(times)
    preferred = parse_freq(choice.text)
    steps, on_grid = preferred.steps(np.full_like(times, times[0]), times)
    between = np.diff(steps)
    if np.unique(times).size < 3 or (on_grid.all() and between[between > 0].min(initial=2) == 1):
        return preferred
    return infer_freq(times)


def infer_freq(times: Times) -> Freq:
    """Infer the frequency of one series' timestamps from its usual step, or from its smallest one if none is usual.

    A few rows off the grid of the usual step do not change the frequency; they are refused later, with their rows.

    Raises:
        InputError: ``unknown_frequency`` if there are fewer than three timestamps or they fit no frequency.
    """
    steps_us = np.diff(times).astype(np.int64)
    steps_us = steps_us[steps_us > 0]
    freq = (_usual_freq(times, steps_us) or _fit_freq(times, int(steps_us.min()))) if steps_us.size >= 2 else None
    if freq is None:
        reason = "fewer than three different timestamps" if steps_us.size < 2 else "the steps between them fit none"
        message = f"the frequency cannot be inferred from the timestamps: {reason}"
        raise InputError.of("unknown_frequency", message, f"name it in 'freq': {KNOWN_FREQUENCIES}", field="freq")
    return freq


def _usual_freq(times: Times, steps_us: Ints) -> Freq | None:
    """Return the frequency of the step between nearly all timestamps; None if it is the shortest, or there is none."""
    values, counts = np.unique(steps_us, return_counts=True)
    usual = int(values[np.argmax(counts)])
    is_usual = len(steps_us) >= MIN_USUAL_STEPS and counts.max() >= MIN_USUAL_SHARE * len(steps_us)
    if not is_usual or usual == values[0] or usual >= 28 * DAY_US:  # months differ in length
        return None
    phases, sizes = np.unique((times - times[0]).astype(np.int64) % usual, return_counts=True)
    phase = phases[np.argmax(sizes)]
    return _fit_freq(times[(times - times[0]).astype(np.int64) % usual == phase], usual)


def _fit_freq(times: Times, step_us: int) -> Freq | None:
    since = np.full_like(times, times[0])
    for side in "SE" if step_us >= 28 * DAY_US else "":
        if Freq(1, "M" + side).steps(since, times)[1].all():
            months = round(step_us / DAY_US / 30.44)
            unit = next(word + side for word in "YQM" if months % MONTHS[word + side] == 0)
            return Freq(months // MONTHS[unit], unit)
    # More than five days without a weekend: a daily series would have one.
    if (
        step_us == DAY_US
        and np.ptp(times) > np.timedelta64(4, "D")
        and np.is_busday(times.astype("datetime64[D]")).all()
    ):
        return Freq(1, "B")
    if ((times - since).astype(np.int64) % step_us).any():
        return None
    for unit in ("W", "D", "h", "min", "s", "ms"):
        count, rest = divmod(step_us, UNIT_US[unit])
        if rest == 0 and 1 <= count < 10_000:
            return Freq(count, unit)
    return None
