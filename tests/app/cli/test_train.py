"""``forecastle train``: a table becomes a data set, a job and a version, whose name is printed on stdout."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.orm import Session

from app.store import datasets, jobs, registry
from app.store.keys import tenant_id
from models.network.spec import Spec
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import crown, environment, eventually, keep, queue, weeks

TINY = ["--spec", "units=4", "--spec", "context=12", "--horizon", "4"]
QUICK = [f"--training={pair}" for pair in ("max_epochs=2", "steps_per_epoch=5", "batch_size=16")]
QUICK += ["--no-baselines", "--no-refit"]
STOLEN = 99  # token of the worker that takes the job over


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "app", *words]


def job_ids(home: Home) -> list[str]:
    database = home.database
    with database.write() as session:
        found = [job.id for job in jobs.list_page(session, tenant_id(session, "default"), None, 10)]
    database.dispose()
    return found


def test_a_table_becomes_a_champion_in_a_folder_with_modules_named_app_and_models(home: Home) -> None:
    # The folder holds modules named app and models, as a user's project may.
    for module in ("app", "models"):
        (home.folder / f"{module}.py").write_text("raise SystemExit('the user's own program')\n")
    table = home.csv()
    other = queue(home.database, keep(home.database, weeks(points=60), "another"))
    env = environment(data_dir=".", poll_s=0.1)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        order = command("train", table, "--model", "demand", *words)
        return subprocess.run(order, cwd=home.folder, env=env, capture_output=True, text=True, check=False)

    result = run(*TINY, *QUICK)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "demand 1\n"
    assert "training done\n" in result.stderr  # earlier phases may end between two polls
    assert "promoted (the first version)" in result.stderr
    lines = result.stderr.splitlines()  # progress and the result: no line of a library, no line of the worker's log
    assert [line for line in lines if not line.startswith(("training ", "demand version 1: "))] == []

    database = home.database
    with database.write() as session:
        tenant = tenant_id(session, "default")
        version = registry.champion(session, tenant, "demand")
        assert version is not None
        spec = Spec.from_json(version.spec)
        assert (spec.freq, spec.units, spec.context, spec.horizon) == ("D", 4, 12, 4)
        assert datasets.revision(session, tenant, "sales").sha256 == version.data_sha256 == weeks().fingerprint()
        assert (version.number, version.created_by) == (1, "cli")
        waiting = jobs.get(session, tenant, other.id)
        assert (waiting.state, waiting.attempt) == ("queued", 0)  # another user's job is left to the workers
    database.dispose()

    again = run("--if-missing", *TINY, *QUICK)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "model demand exists already\n")
    assert len(job_ids(home)) == 2


def test_a_data_set_with_other_content_is_not_overwritten(forecastle: Forecastle, home: Home) -> None:
    keep(home.database, weeks(points=80))
    result = forecastle("train", home.csv(), "-m", "demand", *TINY)
    assert refused(result, "data set 'sales' is in the database with other content", "rename the file")
    assert job_ids(home) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--spec", "unitz=4"], "no field 'unitz'; the fields are freq, season, context, horizon, cell, encoder"),
        (["--training", "epochs=4"], "no field 'epochs'; the fields are max_epochs, steps_per_epoch"),
        (["--spec", "cell=transformer"], "no cell 'transformer'; use one of"),
        (["--spec", "units"], "'units' is not NAME=VALUE; write for example horizon=24"),
        (["--spec", "units=many"], "units: 'many' is not a whole number"),
        (["--spec", "freq=h"], "the frequency is that of the data set; leave it out"),
        (["--spec", "context=100"], "use a context of at most 90"),
        (["--spec", 'past_covariates=["price"]'], "there is no covariate 'price'"),
        (["--member", "loss=best"], "no loss 'best'; use one of"),
        (["--member", "seed=1", "--auto", "9"], "give at most one of --member, --auto"),
        (["--auto", "0"], "--auto: Input should be greater than or equal to 1; see forecastle train --help"),
        (["--from", "demand"], "--from: String should match pattern"),
        (["--from", "demand@1"], "no model 'demand'"),
        (["--model", "my model"], "'my model' cannot name a model; use 1 to 128 letters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_job_that_cannot_work_is_refused_and_not_queued(
    forecastle: Forecastle, home: Home, words: list[str], reason: str
) -> None:
    result = forecastle("train", home.csv(), "-m", "demand", "--horizon", 4, *words)
    assert refused(result, reason)
    assert job_ids(home) == []


def test_a_file_whose_name_cannot_name_a_data_set_is_refused_and_not_stored(forecastle: Forecastle, home: Home) -> None:
    result = forecastle("train", home.csv("my sales.csv"), "-m", "demand", *TINY)
    assert refused(result, "'my sales' cannot name a dataset")
    with home.database.write() as session:
        assert datasets.list_page(session, tenant_id(session, "default"), 0, 10) == []


def diverge(session: Session, job_id: str) -> None:
    jobs.fail(session, job_id, STOLEN, "diverged", "the loss became nan; lower learning_rate", retry=False)


def give_up(session: Session, job_id: str) -> None:
    jobs.mark_cancelled(session, job_id, STOLEN)


@contextmanager
def another_worker(home: Home, end: Callable[[Session, str], None]) -> Iterator[None]:
    """Run a worker that takes over the job as soon as it is queued, and ends it."""
    database = home.database

    def take_over() -> None:
        [job_id] = eventually(lambda: job_ids(home))
        with database.write() as session:
            job = jobs.get(session, tenant_id(session, "default"), job_id)
            job.state, job.token, job.attempt = "running", STOLEN, 1
            session.flush()
            end(session, job_id)

    thread = threading.Thread(target=take_over)
    thread.start()
    yield
    thread.join()
    database.dispose()


def test_members_refit_and_baselines_reach_the_job(forecastle: Forecastle, home: Home) -> None:
    words = ["--member", "seed=1", "--member", "seed=2,loss=mse", "--no-refit", "--no-baselines"]
    with another_worker(home, give_up):
        forecastle("train", home.csv(), "-m", "demand", *TINY, *words)
    (job_id,) = job_ids(home)
    with home.database.read() as session:
        stored = jobs.get(session, tenant_id(session, "default"), job_id).request
    members = [stored, *stored["others"]]
    fields = [(m["spec"]["units"], m["spec"]["loss"], m["training"]["seed"]) for m in members]
    first = stored["spec"]["loss"]
    assert fields == [(4, first, 0), (4, first, 1), (4, "mse", 2)]
    assert (stored["refit"], "baselines" in stored) == (False, False)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (diverge, "error: the training job failed: the loss became nan; lower learning_rate"),
        (give_up, "error: the training job was cancelled"),
    ],
    ids=["failed", "cancelled"],
)
def test_a_job_that_fails_in_another_worker_is_an_error_of_the_command(
    forecastle: Forecastle, home: Home, end: Callable[[Session, str], None], message: str
) -> None:
    with another_worker(home, end):
        result = forecastle("train", home.csv(), "-m", "demand", *TINY, *QUICK)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == message


def test_if_missing_does_nothing_if_there_is_a_champion(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    crown(database, keep(database, weeks()))
    database.dispose()
    result = forecastle("train", "nowhere.csv", "-m", "demand", "--if-missing")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "model demand exists already\n")


# A shell starts background jobs with SIGINT ignored; under a test suite in the background the command would be too.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from app.__main__ import main; main()"
)


def test_ctrl_c_cancels_the_job_of_the_command(home: Home) -> None:
    order = ["train", home.csv(), "--model", "demand", "--spec", "units=4", "--training", "max_epochs=1000"]
    line = [sys.executable, "-P", "-c", LISTENING, *order]
    env = environment(data_dir=home.folder, poll_s=0.1)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env) as train:
        assert train.stderr is not None
        assert any("epoch" in line for line in train.stderr)
        train.send_signal(signal.SIGINT)
        train.stderr.read()
    assert train.returncode != 0
    (job_id,) = job_ids(home)
    with home.database.read() as session:
        job = jobs.get(session, tenant_id(session, "default"), job_id)
    assert (job.state, job.version_id) == ("cancelled", None)
