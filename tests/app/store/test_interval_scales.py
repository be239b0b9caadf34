"""Adaptive intervals through the store: after a shift they cover again what they promise."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.store import interval_scales, realised
from app.store.db import Database, now
from app.store.tables import AdaptedIntervals, Version
from models.evaluation.adaptive_intervals import RATES
from models.evaluation.horizon_parts import PARTS
from models.evaluation.intervals import Prediction
from tests.app.store.growing import Growing
from tests.fakes import says

SHIFTED = 3.0  # errors after the shift are three times those of the backtest
DAYS = 150


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A database in a file: how much is learned does not depend on its kind."""
    shutil.copy(sqlite_template, tmp_path / "forecastle.db")
    database = Database(f"sqlite:///{tmp_path / 'forecastle.db'}")
    yield database
    database.dispose()


def lived(sales: Growing, version: Version, errors: np.ndarray) -> list[bool]:
    """A day at a time: 0 is forecast with an interval of 80 %, ``errors`` come; whether each lay within."""
    calibration, within = says(0.0).calibration, []
    for error in errors.tolist():
        with sales.database.read() as session:
            stretch = interval_scales.load(session, [version.id]).get(version.id)
        adapting = calibration.with_scales(stretch)
        lo, hi = adapting.intervals(Prediction.of_points(np.zeros((1, 1)), np.ones((1, 1))), [80])[80]
        within.append(bool(lo[0, 0] <= error <= hi[0, 0]))
        widths = {} if stretch is None else {str(level): stretch[:, level - 1].tolist() for level in (80, 95)}
        sales.serve(version, [0.0], stretch=widths)
        sales.append([error])
        with sales.database.write() as session:
            assert realised.realise(session, 10) == 1
    return within


def test_after_a_shift_coverage_goes_back_to_what_was_promised(sqlite: Database) -> None:
    # The fake's radius at 80 % is 0.8: right for errors that are uniform between -1 and 1.
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    version = sales.version(says(0.0))
    errors = SHIFTED * np.random.default_rng(1).uniform(-1, 1, DAYS)
    within = lived(sales, version, errors)
    assert np.mean(np.abs(errors) <= 0.8) < 0.4  # what the calibration alone would have covered
    assert np.mean(within[:10]) < 0.6  # nothing is stretched before ten moments were seen
    assert np.mean(within[30:]) == pytest.approx(0.8, abs=0.06)


def test_few_moments_stretch_nothing(sqlite: Database) -> None:
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    version = sales.version(says(0.0))
    lived(sales, version, np.full(interval_scales.MIN_MOMENTS - 1, 9.0))
    with sqlite.read() as session:
        assert interval_scales.load(session, [version.id]) == {}
    lived(sales, version, np.full(1, 9.0))
    with sqlite.read() as session:
        assert interval_scales.load(session, [version.id])[version.id][0, 79] > 2


def test_what_is_learned_goes_on_from_what_was_learned_before(sqlite: Database) -> None:
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    in_parts, at_once = sales.version(says(0.0)), sales.version(says(0.0))
    calibration = says(0.0).calibration
    moment = Prediction.of_points(np.zeros((1, 1)), np.ones((1, 1))), np.array([[20.0]])
    for _ in range(2):
        with sqlite.write() as session:
            interval_scales.update(session, in_parts, calibration, [moment] * 5)
    with sqlite.write() as session:
        interval_scales.update(session, at_once, calibration, [moment] * 10)
    with sqlite.read() as session:
        found = interval_scales.load(session, [in_parts.id, at_once.id])
    assert found[in_parts.id].tolist() == found[at_once.id].tolist()


def test_factors_of_an_earlier_release_are_those_of_all_parts_of_the_horizon(sqlite: Database) -> None:
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    version = sales.version(says(0.0))
    one_scale = {"widths": np.full((len(RATES), 99), 0.5).tolist(), "losses": np.zeros((len(RATES), 99)).tolist()}
    with sqlite.write() as session:
        session.add(
            AdaptedIntervals(
                tenant_id=version.tenant_id,
                version_id=version.id,
                moments=interval_scales.MIN_MOMENTS,
                state={**one_scale, "moments": interval_scales.MIN_MOMENTS},
                stretch=[1.5] * 99,
                changed_at=now(session),
            )
        )
    with sqlite.read() as session:
        assert interval_scales.load(session, [version.id])[version.id].tolist() == [[1.5] * 99] * len(PARTS)
    lived(sales, version, np.zeros(1))  # it goes on from there: an exact forecast makes the intervals narrower
    with sqlite.read() as session:
        learned = interval_scales.load(session, [version.id])[version.id]
    assert learned.shape == (len(PARTS), 99)
    assert (learned[:, 79] < np.exp(0.5)).all()
