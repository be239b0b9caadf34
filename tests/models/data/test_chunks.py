"""Parts of a panel: they are complete and share its arrays."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.data.chunks import split_series
from tests.models.samples import panel_of, with_covariates


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(1, 10))
def test_parts_in_order_are_the_panel_without_a_copy(lengths, most):
    whole = panel_of(*(np.arange(length) + 100.0 * i for i, length in enumerate(lengths)))
    whole = replace(whole, starts=whole.starts + np.arange(len(lengths)))
    parts = list(split_series(whole, most))
    assert [len(part) for part in parts[:-1]] == [most] * (len(parts) - 1)
    assert all(np.shares_memory(part.y, whole.y) for part in parts)
    together = [(name, values.tolist()) for part in parts for name, values in part]
    assert together == [(name, values.tolist()) for name, values in whole]
    assert np.concatenate([part.starts for part in parts]).tolist() == whole.starts.tolist()


def test_covariates_come_with_their_series():
    values = np.arange(10.0)
    panel = with_covariates(panel_of(*values.reshape(5, 2)), x=values + 0.5)
    second = list(split_series(panel, 3))[1]
    assert (second.ids, second.covariates["x"].tolist()) == (("s3", "s4"), [6.5, 7.5, 8.5, 9.5])
