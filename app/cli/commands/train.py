"""``forecastle train``: keep a table as a data set, queue a training job, and watch it."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.cli.commands.common import caller, migrated, plain_errors, read_data, read_settings, refuse, tell
from app.cli.commands.progress import watch
from app.formats import parse_pairs
from app.planning.job_answers import job_answer
from app.planning.jobs import submit_job
from app.planning.train import TrainRequest
from app.problems import NotFound
from app.schemas import JobAnswer
from app.settings import Settings
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.keys import KeyPrincipal
from app.work.dispatcher import Dispatcher
from models.errors import Fault, InputError, excerpt
from models.training.report import VersionReport


@dataclass(frozen=True, slots=True)
class More:
    """What few ask for: further members, a version to go on from, a search of so many seconds; no refit, no Theta."""

    members: list[str]
    warm_start_from: str | None
    auto_s: float | None
    refit: bool
    baselines: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asked for; ``spec`` and ``training`` as NAME=VALUE."""

    data: str
    model: str
    freq: str | None
    spec: list[str]
    training: list[str]
    promote: str
    more: More


def train(order: Order, if_missing: bool) -> None:
    """Train and register; ``if_missing``: only where the model has no champion yet."""
    settings = read_settings()
    with plain_errors():
        database = migrated(settings)
        me = caller(database)
        request = _request(order)
        if if_missing and _has_champion(database, me, order.model):
            tell(f"model {order.model} exists already")
            return
        _keep(database, settings, me, order, request.dataset)
        job = _work_until_done(database, settings, me, submit_job(database, settings, me, request).id)
        _tell_end(database, me, job)


def _has_champion(database: Database, me: KeyPrincipal, model: str) -> bool:
    with database.read() as session:
        return registry.champion(session, me.tenant_id, model) is not None


def _request(order: Order) -> TrainRequest:
    """What the API would be asked; the data set has the name of the table's file.

    Raises:
        InputError: a name that cannot be one, a field that is not NAME=VALUE.
    """
    kind, found, name = order.data.partition(":")
    values = {
        "model": order.model,
        "dataset": name if found and kind in ("dataset", "sample") else Path(order.data).stem,
        "spec": parse_pairs(order.spec),
        "training": parse_pairs(order.training),
        "promote": order.promote,
        **_more(order.more),
    }
    try:
        return TrainRequest.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        raise InputError([_fault(values, fault["loc"], fault["msg"]) for fault in wrong]) from error


def _more(more: More) -> dict[str, Any]:
    """The fields of the request that are left out unless asked for."""
    values: dict[str, Any] = {"refit": more.refit}
    values |= {} if more.baselines else {"baselines": []}
    values |= {"warm_start_from": more.warm_start_from} if more.warm_start_from else {}
    values |= {"auto": {"budget_s": more.auto_s}} if more.auto_s is not None else {}
    further = [parse_pairs(member.split(",")) for member in more.members]
    return values | ({"ensemble": [{}, *further]} if further else {})


def _fault(values: dict[str, Any], where: tuple[int | str, ...], message: str) -> Fault:
    """A wrong part of the request in the words of the command line."""
    if where and where[0] in ("model", "dataset"):
        hint = "use 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"
        message = f"{excerpt(values[str(where[0])])} cannot name a {where[0]}"
        return Fault(code="bad_name", message=message, hint=hint)
    name = ".".join(map(str, where)) or "the options"
    return Fault(code="bad_option", message=f"{name}: {message}", hint="see forecastle train --help")


def _keep(database: Database, settings: Settings, me: KeyPrincipal, order: Order, name: str) -> None:
    """Keep the table as the data set ``name``, where there is none of that name.

    Raises:
        InputError: there is one with other content.
    """
    panel = read_data(database, me.tenant_id, order.data, order.freq, settings.max_rows)
    try:
        with database.read() as session:
            known = datasets.revision(session, me.tenant_id, name)
    except NotFound:
        first = panels.new_revision(panel)
        with database.write() as session:
            datasets.create(session, me.tenant_id, name, str(panel.freq), first, me.key_id)
        return
    if known.sha256 != panel.fingerprint():
        message = f"data set {name!r} is in the database with other content"
        hint = "append the new rows through the API, or rename the file"
        raise InputError([Fault(code="other_content", message=message, hint=hint)])


def _work_until_done(database: Database, settings: Settings, me: KeyPrincipal, job_id: str) -> JobAnswer:
    """Work at the queue, beside any worker that there is, until this job has ended."""
    stop = threading.Event()
    dispatcher = Dispatcher(database, settings)
    worker = threading.Thread(target=dispatcher.run, args=(stop,), name="dispatcher")
    worker.start()
    try:
        return watch(lambda: _look(database, me, job_id), "training")
    except KeyboardInterrupt:
        # Nobody waits for it any more; left in the queue, the next command would train it first.
        with database.write() as session:
            jobs.request_cancel(session, me.tenant_id, job_id)
        raise
    finally:
        stop.set()
        worker.join()


def _look(database: Database, me: KeyPrincipal, job_id: str) -> JobAnswer:
    with database.read() as session:
        return job_answer(session, jobs.get(session, me.tenant_id, job_id))


def _tell_end(database: Database, me: KeyPrincipal, job: JobAnswer) -> None:
    if job.state != "succeeded":
        reason = "" if job.error is None else f": {job.error['message']}"
        ended = "was cancelled" if job.state == "cancelled" else job.state
        refuse(f"the training job {ended}{reason}")
    assert job.model is not None  # a training job has one
    with database.read() as session:
        version = registry.resolve(session, me.tenant_id, job.model, job.version, None)
    report = VersionReport.from_json(version.scores)
    skill = "unknown" if version.skill is None else f"{100 * version.skill:.1f} %"
    tell(
        f"{job.model} version {version.number}: skill against seasonal naive {skill}, "
        f"{'promoted' if report.promoted else 'not promoted'} ({report.promotion})"
    )
    print(f"{job.model} {version.number}", file=sys.stdout)
