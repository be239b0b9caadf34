"""What is done for each kind of job: the one table of them.

Importing this module imports TensorFlow; only a process that runs jobs does.
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.work.batches import backtest_one, forecast_all
from app.work.job_context import JobFunction
from app.work.train import train

WORK: Mapping[str, JobFunction] = MappingProxyType(
    {"train": train, "retrain": train, "tune": train, "forecast": forecast_all, "backtest": backtest_one}
)
