"""Which version becomes champion, and that both are measured on the same windows."""

from dataclasses import replace

import pytest

from app.store.db import Database
from app.work.train import Champion, compare, verdict
from models.backtest import evaluate, origins_of, plan_for
from models.engines.onnx import OnnxEngine
from models.forecaster import Forecaster
from models.panel import Panel
from tests.app.work.tiny import SPEC, claim, crown, keep, queue, untrained, weeks
from tests.models.samples import panel_of

# champion, promote, becomes champion, reason
TABLE = {
    "the first": (None, "if_better", True, "the first version"),
    "better": (
        Champion(3, 1.25, 0.75),
        "if_better",
        True,
        "MASE 0.75 is below the 1.25 of version 3 on the same windows",
    ),
    "worse": (
        Champion(3, 0.75, 1.25),
        "if_better",
        False,
        "MASE 1.25 is not below the 0.75 of version 3 on the same windows",
    ),
    "equal": (
        Champion(3, 0.75, 0.75),
        "if_better",
        False,
        "MASE 0.75 is not below the 0.75 of version 3 on the same windows",
    ),
    "not to be compared": (
        Champion(3, None, 0.75),
        "if_better",
        False,
        "version 3 cannot be compared on these data; move the alias by hand if you want",
    ),
    "not to be read": (
        Champion(3, None, None, readable=False),
        "if_better",
        True,
        "version 3 cannot be read any more",
    ),
    "not to be measured": (Champion(3, 0.75, None), "if_better", False, "no MASE: the series do not vary"),
    "always, though worse": (Champion(3, 0.75, 1.25), "always", True, "the job says to promote always"),
    "always, the first": (None, "always", True, "the job says to promote always"),
    "never, though better": (Champion(3, 1.25, 0.75), "never", False, "the job says to promote never"),
    "never, though the first": (None, "never", False, "the job says to promote never"),
}


@pytest.mark.parametrize(("champion", "promote", "promoted", "reason"), TABLE.values(), ids=TABLE)
def test_the_verdict(champion: Champion | None, promote: str, promoted: bool, reason: str) -> None:
    assert verdict(champion, promote) == (promoted, reason)


def standing(database: Database, champion: Forecaster | None, panel: Panel, **changes: object) -> Champion | None:
    """How ``champion`` does against an untrained forecaster on ``panel``."""
    revision = keep(database, panel)
    if champion is not None:
        crown(database, revision, champion, **changes)
    queue(database, revision)
    return compare(database, claim(database), untrained(), panel, plan_for(panel, SPEC.horizon, SPEC.season))


def mase(forecaster: Forecaster, panel: Panel, width: int) -> float | None:
    origins = origins_of(panel, plan_for(panel, SPEC.horizon, SPEC.season), width, SPEC.season)
    engine = OnnxEngine(forecaster.spec, forecaster.weights)
    return evaluate(forecaster.spec, engine, origins).report["scores"]["model"]["mase"]


def test_there_is_nothing_to_beat_at_first(sqlite: Database) -> None:
    assert standing(sqlite, None, weeks()) is None


def test_champion_and_rival_are_measured_on_the_same_windows(sqlite: Database) -> None:
    panel, other = weeks(), untrained(replace(SPEC, units=6), scale=0.1)
    assert standing(sqlite, other, panel) == Champion(1, mase(other, panel, 12), mase(untrained(), panel, 12))


def test_a_champion_with_a_longer_context_is_met_where_its_context_fits(sqlite: Database) -> None:
    panel = panel_of(weeks().series(0), weeks(points=40).series(0))
    other = untrained(replace(SPEC, context=50))
    found = standing(sqlite, other, panel)
    assert found == Champion(1, mase(other, panel, 50), mase(untrained(), panel, 50))
    assert found is not None
    assert found.rival != mase(untrained(), panel, 12)  # which counts the short series too


def test_a_champion_whose_context_fits_nowhere_cannot_be_compared(sqlite: Database) -> None:
    assert standing(sqlite, untrained(replace(SPEC, context=80)), weeks()) == Champion(1, None, None)


def test_a_champion_of_another_frequency_cannot_be_compared(sqlite: Database) -> None:
    assert standing(sqlite, untrained(replace(SPEC, freq="h")), weeks()) == Champion(1, None, None)


def test_a_champion_that_cannot_be_read_does_not_stop_its_successor(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert standing(sqlite, untrained(), weeks(), bundle=b"no bundle") == Champion(1, None, None, readable=False)
    assert "the champion cannot be read" in caplog.text


def test_series_that_do_not_vary_have_no_mase(sqlite: Database) -> None:
    flat = weeks(series=1)
    flat.y[:] = 5.0
    assert standing(sqlite, untrained(replace(SPEC, units=6)), flat) == Champion(1, None, None)
