"""Choice of the frequency of timestamps: the given one, a model's if it fits them, or the one that they show."""

from dataclasses import dataclass

import numpy as np

from models.data.calendar import Freq, infer_freq, parse_freq
from models.types import Times


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
