"""A panel in parts, for work on many series whose memory must not grow with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from models.data.panel import Panel

MAX_SERIES = 256  # of one part: more would be no quicker for each


def parts_of(panel: Panel, most_series: int) -> Iterator[Panel]:
    """The panel in parts of at most so many series; they share its arrays."""
    whole, rest = divmod(len(panel), most_series)
    return cut_at(panel, [most_series] * whole + [rest] * (rest > 0))


def cut_at(panel: Panel, sizes: Iterable[int]) -> Iterator[Panel]:
    """The panel in parts of so many series each, in their order; they share its arrays."""
    end = 0
    for size in sizes:
        begin, end = end, end + size
        points = slice(panel.indptr[begin], panel.indptr[end])
        yield replace(
            panel,
            ids=panel.ids[begin:end],
            starts=panel.starts[begin:end],
            y=panel.y[points],
            indptr=panel.indptr[begin : end + 1] - panel.indptr[begin],
            covariates={name: values[points] for name, values in panel.covariates.items()},
        )
