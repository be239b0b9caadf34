"""The table of job functions."""

from app.planning.kinds import KINDS
from app.work.job_functions import load_job_functions
from app.work.train import train


def test_every_kind_of_job_has_a_function() -> None:
    found = load_job_functions()
    assert found.keys() == KINDS.keys()
    assert found["retrain"] is train
