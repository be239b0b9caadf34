"""One task in a process of its own: ``python -m benchmarks.accuracy.work SUITE/NAME SEED`` prints one line of JSON."""

import json
import sys

from benchmarks.accuracy import ett, m4, sets, theta, two_sine
from benchmarks.accuracy.tasks import ETT, M4, SETS, Task
from benchmarks.data import datasets
from benchmarks.learn import RECIPES, Teacher
from models.types import JsonObject


def run(task: Task, seed: int) -> JsonObject:
    """Return the result of the protocol of ``task`` with its recipe."""
    teach = Teacher(RECIPES[task.suite], seed)
    if task.suite == SETS:
        return sets.measure(datasets()[task.name], teach, theta.known())
    if task.suite == M4:
        return m4.measure(datasets()[task.name], teach)
    if task.suite == ETT:
        name, horizon = task.name.split("-")
        return ett.measure(datasets()[name], int(horizon), teach)
    return two_sine.measure(teach)


if __name__ == "__main__":
    print(json.dumps(run(Task(*sys.argv[1].split("/")), int(sys.argv[2]))))
