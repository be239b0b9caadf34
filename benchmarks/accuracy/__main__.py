"""Command ``python -m benchmarks.accuracy [--suite SUITE] [--only NAME] [--seed N] [--backend KERAS_BACKEND]``."""

import argparse
import json
import os
import sys
import time

from benchmarks.accuracy.report import print_sets, rows
from benchmarks.accuracy.tasks import SETS, SUITES, Crew, Task, notebook, noted, tasks
from benchmarks.accuracy.theta import why_not
from benchmarks.results import publish, table
from models.types import JsonObject

PROTOCOL = {
    "two-sine": "7,000 series teach, 1,000 test; MSE of 10 steps after 50",
    "ett": "12/4/4 months; seven standardised columns as series; all windows of the test part; look-back 720",
    "m4": "official test sets; OWA against the competition's Naive2",
    "sets": "5 origins (20 for a single series) in the newest fifth; the default is told horizon and season, nothing "
    "else; mean over series, then origins; AutoTheta on at most 40 series, where the season is at most 60",
}


def main() -> int:
    """Run the tasks that have no stored result, print the tables, and write the JSON file if all tasks are done."""
    asked = arguments()
    crew = Crew(processes=asked.processes, backend=asked.backend, seed=asked.seed)
    file = notebook(crew)
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {} if asked.fresh else noted(file)
    wanted = [task for task in tasks() if is_wanted(task, asked)]
    failed: JsonObject = {}
    began_s = time.monotonic()
    with file.open("w" if asked.fresh else "a") as notes:
        for task, found in crew.run([task for task in wanted if str(task) not in known]):
            print(f"{time.monotonic() - began_s:6.0f} s  {task}: {json.dumps(found)}", file=sys.stderr, flush=True)
            print(json.dumps({"task": str(task), **found}), file=notes, flush=True)
            (failed if "error" in found else known)[str(task)] = found
    return finish({str(task): known[str(task)] for task in wanted if str(task) in known}, failed, asked)


def finish(known: JsonObject, failed: JsonObject, asked: argparse.Namespace) -> int:
    """Print the known results; write the JSON file if they are complete."""
    print_sets(known)
    for task, error in failed.items():
        print(f"{task} failed: {error}", file=sys.stderr)
    if len(known) < len(tasks()):
        table(rows(known))
        return int(bool(failed))
    known = with_longest_alone(known, asked)
    how = {"seed": asked.seed, "backend": asked.backend, "processes": asked.processes}
    return publish("accuracy", rows(known), {**how, "protocol": PROTOCOL, "found": known, "not_theta": why_not()})


def with_longest_alone(known: JsonObject, asked: argparse.Namespace) -> JsonObject:
    """Add the training time of the slowest set when it has all cores, as a job of the service has."""
    longest = max((task for task in known if task.startswith(f"{SETS}/")), key=lambda task: known[task]["seconds"])
    alone = Crew(processes=1, backend=asked.backend, seed=asked.seed)
    ((_, found),) = alone.run([task for task in tasks() if str(task) == longest])
    return {**known, longest: {**known[longest], "seconds_alone": found["seconds"]}}


def is_wanted(task: Task, asked: argparse.Namespace) -> bool:
    """Return whether the command line selects this task."""
    return asked.suite in (None, task.suite) and asked.only in (None, task.name)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--suite", choices=SUITES)
    parser.add_argument("--only", metavar="NAME", help="one set or task, such as m4_hourly or etth1-96")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default=os.environ.get("KERAS_BACKEND", "tensorflow"))
    parser.add_argument("--processes", type=int, default=2, help="at a time; each has its share of the cores")
    parser.add_argument("--fresh", action="store_true", help="measure anew what is already noted for this code")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
