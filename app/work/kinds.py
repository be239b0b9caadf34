"""What is done for each kind of job. Importing this module imports TensorFlow; only a process that runs jobs does."""

from collections.abc import Callable, Mapping

from app.store.db import Database
from app.store.tables import Job
from app.work.train import train

Work = Callable[[Database, Job], None]

WORK: Mapping[str, Work] = {"train": train}
