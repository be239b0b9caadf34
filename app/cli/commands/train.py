"""``forecastle train``: store a table as a data set, queue a training job, and run it."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.cli.commands.console import exit_with_error, format_skill, print_message, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.progress import watch_job
from app.cli.commands.tables import load_table
from app.cli.grammar import TableSource
from app.formats import parse_pairs
from app.planning.jobs import submit_job
from app.planning.train import TrainRequest
from app.problems import NotFound
from app.settings import Settings
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.keys import KeyPrincipal
from app.store.tables import Job
from app.tables import TablePanel
from app.work.dispatcher import Dispatcher
from models.errors import Fault, InputError, excerpt
from models.json_types import JsonObject
from models.training.report import VersionReport

# Options of the command by the fields of the request that they become.
OPTIONS = {"ensemble": "--member", "warm_start_from": "--from", "auto": "--auto", "spec": "--spec"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of ``forecastle train``; ``spec`` and ``training`` hold NAME=VALUE, each of ``members`` several."""

    source: TableSource
    model: str
    spec: list[str]
    training: list[str]
    promote: str
    members: list[str]
    warm_start_from: str | None
    auto_s: float | None
    refit: bool
    baselines: bool


def train(options: TrainOptions) -> None:
    """Train a version and register it."""
    settings = read_settings()
    with report_errors():
        database = open_database(settings)
        principal = local_principal(database)
        request = train_request(options)
        table = load_table(database, principal.tenant_id, options.source, options.source.freq, settings.max_rows)
        store_dataset(database, principal, request.dataset, table)
        job_id = submit_job(database, settings, principal, request).id
        print_message(f"training {options.model} in the database {database.name}")
        job = run_job(database, settings, principal, job_id)
        if job.state != "succeeded":
            reason = "" if job.error is None else f": {job.error['message']}"
            exit_with_error(f"the training job {'was cancelled' if job.state == 'cancelled' else job.state}{reason}")
        with database.read() as session:
            [number] = jobs.version_numbers(session, principal.tenant_id, [job.version_id]).values()
            version = registry.resolve(session, principal.tenant_id, options.model, number, None)
    report, skill = VersionReport.from_json(version.scores), format_skill(version.skill)
    verdict = f"{'promoted' if report.promoted else 'not promoted'} ({report.promotion})"
    print_message(f"{job.model} version {version.number}: skill against seasonal naive {skill}, {verdict}")
    print(f"{job.model} {version.number}", file=sys.stdout)


def train_request(options: TrainOptions) -> TrainRequest:
    """Return the equivalent body of POST /v1/jobs; the data set is named after the file of the table.

    Raises:
        InputError: a name that is not allowed, text that is not NAME=VALUE, or options that exclude each other.
    """
    kind, colon, name = options.source.data.partition(":")
    values: JsonObject = {
        "model": options.model,
        "dataset": name
        if colon and kind in ("dataset", "sample")
        else Path(options.source.data).name.partition(".")[0],
        "spec": parse_pairs(options.spec),
        "training": parse_pairs(options.training),
        "promote": options.promote,
        "refit": options.refit,
    }
    if not options.baselines:
        values["baselines"] = []
    ways: JsonObject = {}
    if options.members:
        ways["ensemble"] = [{}, *(parse_pairs(member.split(",")) for member in options.members)]
    if options.warm_start_from:
        ways["warm_start_from"] = options.warm_start_from
    if options.auto_s is not None:
        ways["auto"] = {"budget_s": options.auto_s}
    if len(ways) > 1:
        message = f"give at most one of {', '.join(OPTIONS[way] for way in ways)}"
        raise InputError.of("bad_option", message, "see forecastle train --help")
    try:
        return TrainRequest.model_validate(values | ways)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        raise InputError([_option_fault(values, each["loc"], each["msg"]) for each in errors]) from error


def _option_fault(values: JsonObject, location: tuple[int | str, ...], message: str) -> Fault:
    """Convert an error of a request field to a fault that names the command-line option."""
    field = str(location[0]) if location else ""
    if field in ("model", "dataset"):
        hint = "use 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"
        message = f"{excerpt(values[field])} cannot name a {field}"
        return Fault(code="bad_name", message=message, hint=hint)
    option = OPTIONS.get(field, f"--{field}")
    return Fault(code="bad_option", message=f"{option}: {message}", hint="see forecastle train --help")


def store_dataset(database: Database, principal: KeyPrincipal, name: str, table: TablePanel) -> None:
    """Store the panel of ``table`` as the data set ``name``; do nothing if it exists with the same content.

    Raises:
        InputError: the data set exists with other content.
    """
    panel = table.panel
    try:
        with database.read() as session:
            known = datasets.revision(session, principal.tenant_id, name)
    except NotFound:
        first = panels.new_revision(panel, reading=table.reading.to_json())
        with database.write() as session:
            datasets.create(session, principal.tenant_id, name, str(panel.freq), first, principal.key_id)
        return
    if known.sha256 != panel.fingerprint():
        message = f"data set {name!r} is in the database with other content"
        hint = "append the new rows through the API, or rename the file"
        raise InputError.of("other_content", message, hint)


def run_job(database: Database, settings: Settings, principal: KeyPrincipal, job_id: str) -> Job:
    """Run this job, and no other of the queue, until it has ended; return it. Another worker may take it first."""
    stop = threading.Event()
    dispatcher = Dispatcher(database, settings, only=job_id)
    worker = threading.Thread(target=dispatcher.run, args=(stop,), name="dispatcher")
    worker.start()

    def read() -> Job:
        with database.read() as session:
            return jobs.get(session, principal.tenant_id, job_id)

    try:
        return watch_job(read, "training")
    except KeyboardInterrupt:
        # Left in the queue, the job would be run first by the next command, although nobody waits for it.
        with database.write() as session:
            jobs.request_cancel(session, principal.tenant_id, job_id, principal.key_id)
        raise
    finally:
        stop.set()
        worker.join()
