"""Ratios by which a series is compared with those of the training panel."""

import numpy as np
import pytest

from models.network.likeness import UNKNOWN, ratios, unusual, usual_range
from tests.models.samples import panel_of

NAN = float("nan")


def test_the_ratios_are_seasonal_and_neighbouring_differences_over_the_distance_from_the_mean():
    # mean 3, distances 3, 1, 1, 3, 0; two apart 4, 4, 1; neighbours 2, 2, 2, 3
    found = ratios(np.array([[0.0, 2, 4, 6, 3]]), 2)
    assert found[0] == pytest.approx([3 / 1.6, 2.25 / 1.6])


def test_missing_values_are_left_out_and_constant_or_short_windows_have_no_ratios():
    found = ratios(np.array([[NAN, 0.0, 2, NAN, 4], [5.0] * 5, [NAN] * 5]), 2)
    assert found[0] == pytest.approx([2 / (4 / 3), 2 / (4 / 3)])
    assert np.isnan(found[1:]).all()
    assert np.isnan(ratios(np.array([[1.0, 2.0]]), 2)[0, 0])


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 5.0), (1e6, -3.0)])
def test_scale_and_level_do_not_change_the_ratios(scale, shift):
    past = np.random.default_rng(0).normal(size=(2, 20))
    assert ratios(scale * past + shift, 5) == pytest.approx(ratios(past, 5))


def weeks(series=3, points=200):
    rng, t = np.random.default_rng(1), np.arange(points)
    return panel_of(*(np.sin(2 * np.pi * t / 7) + 0.4 * rng.normal(size=points) for _ in range(series)))


def test_windows_of_the_training_panel_are_usual_and_other_kinds_of_series_are_not():
    usual, t = usual_range(weeks(), 28, 7), np.arange(28.0)
    own = ratios(np.stack([weeks().series(0)[-28:], weeks().series(1)[-28:]]), 7)
    others = ratios(np.stack([t % 7, np.random.default_rng(2).normal(size=28), np.round(t / 28)]), 7)
    assert unusual(np.concatenate([own, others]), usual).tolist() == [2, 3, 4]


def test_of_few_windows_nothing_is_known_and_then_nothing_is_unusual():
    assert usual_range(weeks(1, 30), 28, 7) is UNKNOWN
    assert len(unusual(np.array([[9.0, 9.0], [0.0, 0.0]]), UNKNOWN)) == 0
    assert usual_range(panel_of(np.full(200, 3.0)), 28, 7) is UNKNOWN
