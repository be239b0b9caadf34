"""Parts of a panel, so that work on many series needs no more memory than one part."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from models.data.panel import Panel

MAX_SERIES = 256  # of one part; larger parts take no less time per series


def split_series(panel: Panel, max_series: int) -> Iterator[Panel]:
    """Yield the panel in parts of at most ``max_series`` series; they share its arrays."""
    whole, rest = divmod(len(panel), max_series)
    return split_at(panel, [max_series] * whole + [rest] * (rest > 0))


def split_at(panel: Panel, sizes: Iterable[int]) -> Iterator[Panel]:
    """Yield the panel in parts of ``sizes`` series, in their order; they share its arrays."""
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
