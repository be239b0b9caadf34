"""What was asked of a worker becomes a job: every field settled on the data as they are, what cannot work refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.planning.groups import family
from app.planning.job_answers import job_answer
from app.planning.training import Parent, retaught, settled
from app.planning.training_payload import Order, Wanted, WarmStart
from app.planning.version_payloads import BacktestOrder, BatchOrder, Pinned
from app.principal import Principal
from app.problems import NotFound
from app.schemas import (
    AutoRequest,
    BacktestRequest,
    BatchRequest,
    JobAnswer,
    JobRequest,
    RetrainRequest,
    TrainRequest,
    TuneRequest,
)
from app.schemas.resources import Judged, Placed
from app.settings import Settings
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.tables import Revision, Version
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.errors import Fault, InputError, excerpt
from models.evaluation.origins import origins_of, plan_for
from models.evaluation.promotion import Policy
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, check_covariates, check_request
from models.network.strategies import STRATEGIES
from models.training.recipes import suggest, suggest_training

BASELINE = "seasonal_naive"  # as what a backtest without a version is listed


class _Data(NamedTuple):
    """A data set at a revision, and its content."""

    revision: Revision
    panel: Panel


class _Asker:
    """Whoever asks, and of what."""

    def __init__(self, session: Session, settings: Settings, who: Principal) -> None:
        self.session, self.settings, self.who = session, settings, who

    def data(self, name: str, number: int | None) -> _Data:
        """The data set ``name``, newest where ``number`` is None."""
        revision = datasets.revision(self.session, self.who.tenant_id, name, number)
        return _Data(revision, panels.load(self.session, self.who.tenant_id, revision))

    def version(self, name: str) -> tuple[Pinned, Forecaster, Version]:
        """The version NAME@NUMBER or NAME@ALIAS, as it stands."""
        model, _, which = name.partition("@")
        number = int(which) if which.isdigit() and int(which) < 2**31 else None
        row = registry.resolve(self.session, self.who.tenant_id, model, number, which)
        made = bundle.from_bytes(registry.bundle(self.session, self.who.tenant_id, row.id))
        return Pinned(name, row.number, row.id), made, row

    def job(self, asked: Placed, model: str, revision: Revision, order: dict[str, Any]) -> NewJob:
        """The job of a settled ``order``."""
        return NewJob(
            tenant_id=self.who.tenant_id,
            kind=getattr(asked, "kind"),  # noqa: B009 - every kind has one, what they have in common has none
            model=model,
            revision_id=revision.id,
            request=order,
            max_attempts=self.settings.max_attempts,
            created_by=self.who.key_id,
            priority=asked.priority,
            resource=asked.resource,
            deadline_s=asked.deadline_s,
        )


def new_job(database: Database, settings: Settings, who: Principal, asked: JobRequest) -> NewJob:
    """The job that ``asked`` describes, with its children if it is to have any.

    Raises:
        NotFound: no such data set or revision, or no such version.
        SpecError, InputError: a field that cannot work, alone, with another or with the data.
    """
    with database.read() as session:
        asker = _Asker(session, settings, who)
        match asked:
            case TrainRequest():
                return _train(asker, asked)
            case TuneRequest():
                return _tune(asker, asked)
            case RetrainRequest():
                return _retrain(asker, asked)
            case BatchRequest():
                return _batch(asker, asked)
            case BacktestRequest():
                return _backtest(asker, asked)


def submit(
    database: Database,
    settings: Settings,
    principal: Principal,
    request: JobRequest,
    keep: Callable[[Session, JobAnswer], None] = lambda session, answer: None,
) -> JobAnswer:
    """Queue the job that ``request`` describes, planned on the newest data, and return its public form.

    ``keep`` is called with the answer in the transaction that queues the job.

    Raises:
        NotFound, SpecError, InputError: as ``new_job``.
    """
    new = new_job(database, settings, principal, request)
    with database.write() as session:
        answer = job_answer(session, jobs.enqueue(session, new))
        keep(session, answer)
    return answer


def _train(asker: _Asker, asked: TrainRequest) -> NewJob:
    data, parent = asker.data(asked.dataset, asked.revision), None
    if asked.warm_start_from is not None:
        pinned, made, _ = asker.version(asked.warm_start_from)
        parent = Parent(WarmStart(*pinned), made)
    if asked.by is None:
        return asker.job(asked, asked.model, data.revision, settled(asked, data.panel, parent).to_json())
    return family(asked, data.panel, lambda model, order: asker.job(asked, model, data.revision, order))


def _tune(asker: _Asker, asked: TuneRequest) -> NewJob:
    data = asker.data(asked.dataset, asked.revision)
    same = {name: getattr(asked, name) for name in TrainRequest.model_fields if name in TuneRequest.model_fields}
    as_train = TrainRequest(**{**same, "kind": "train", "auto": AutoRequest(budget_s=asked.budget_s)})
    order = settled(as_train, data.panel, None)
    assert order.auto is not None
    order = replace(order, auto=order.auto._replace(trials=asked.trials), register=asked.register_best)
    return asker.job(asked, asked.model, data.revision, order.to_json())


def _retrain(asker: _Asker, asked: RetrainRequest) -> NewJob:
    tenant_id = asker.who.tenant_id
    champion = registry.champion(asker.session, tenant_id, asked.model)
    if champion is None:
        registry.get_model(asker.session, tenant_id, asked.model)
        raise NotFound(f"model {excerpt(asked.model)} has no champion to be trained anew; move the alias, or train one")
    name = f"{asked.model}@{champion.number}"
    pinned, made, _ = asker.version(name)
    data = asker.data(asked.dataset or _dataset_of(asker, champion, name), None)
    if champion.origin == "job" and champion.job_id is not None:
        order = Order.from_json(jobs.get(asker.session, tenant_id, champion.job_id).request)
    else:
        order = _order_of(made, data.panel)
    # Where seasonal naive is champion there is nothing to go on from, which is no reason to stop learning.
    if asked.warm_start and any(STRATEGIES[member.spec.strategy].learns for member in made.members):
        same: dict[str, Any] = {field: getattr(asked, field) for field in Judged.model_fields}
        same |= {"dataset": data.revision.dataset.name, "refit": order.refit, "baselines": list(order.baselines)}
        request = TrainRequest(model=asked.model, warm_start_from=name, **same)
        again = settled(request, order.only_of(data.panel), Parent(WarmStart(*pinned), made))
    else:
        again = retaught(order, champion.scores.get("members"), order.only_of(data.panel))
    gate = Policy(**asked.gate.model_dump())
    again = replace(again, promote=asked.promote, gate=gate, only=order.only)
    return asker.job(asked, asked.model, data.revision, again.to_json())


def _dataset_of(asker: _Asker, version: Version, name: str) -> str:
    """The name of the data set that ``version`` learned from. Raise InputError where that is not known."""
    if version.revision_id is None:
        message = f"{name} was imported, so the data set that it learned from is not known"
        raise _refusal("dataset", message, "name the data set to train it on")
    return datasets.revision_by_id(asker.session, asker.who.tenant_id, version.revision_id).dataset.name


def _order_of(made: Forecaster, panel: Panel) -> Order:
    """The training of an imported forecaster: the specs of its networks, each taught as suggested for ``panel``.

    Raises:
        SpecError: the forecaster has another frequency than ``panel``.
    """
    learns = [member.spec for member in made.members if STRATEGIES[member.spec.strategy].learns]
    specs = [suggest(panel, spec.to_json()) for spec in learns or [made.spec]]
    return Order(members=tuple(Wanted(spec, suggest_training(panel, spec, {})) for spec in specs))


def _batch(asker: _Asker, asked: BatchRequest) -> NewJob:
    (pinned, made, _), data = asker.version(asked.version), asker.data(asked.dataset, asked.revision)
    horizon = asked.horizon or made.spec.horizon
    if horizon > asker.settings.max_horizon:
        hint = f"ask for at most {asker.settings.max_horizon}, or raise FORECASTLE_MAX_HORIZON"
        raise _refusal("horizon", f"a horizon of {horizon} is over the limit", hint)
    panel = data.panel if asked.ids is None else data.panel.select(asked.ids)
    check_request([member.spec for member in made.members], panel, horizon)
    for level in asked.levels:
        made.calibration.radius(level, 1)
    order = BatchOrder(
        version=pinned,
        horizon=horizon,
        levels=tuple(sorted(set(asked.levels))),
        format=asked.format,
        ids=None if asked.ids is None else tuple(dict.fromkeys(asked.ids)),
    )
    return asker.job(asked, asked.version.partition("@")[0], data.revision, order.to_json())


def _backtest(asker: _Asker, asked: BacktestRequest) -> NewJob:
    data, pinned = asker.data(asked.dataset, asked.revision), None
    if asked.version is None:
        spec = suggest(data.panel, {} if asked.horizon is None else {"horizon": asked.horizon})
    else:
        pinned, made, _ = asker.version(asked.version)
        spec = made.spec
        if parse_freq(spec.freq) != data.panel.freq:
            message = f"{asked.version} has frequency {spec.freq}, the data set {data.panel.freq}"
            raise _refusal("version", message, "name a version of that frequency, or another data set")
        for member in made.members:
            check_covariates(member.spec, data.panel)
    horizon = asked.horizon or spec.horizon
    origins_of(data.panel, plan_for(data.panel, horizon, spec.season), spec.season)
    order = BacktestOrder(
        version=pinned,
        horizon=horizon,
        season=spec.season,
        baselines=tuple(dict.fromkeys(asked.baselines)),
        windows=asked.windows,
    )
    model = BASELINE if asked.version is None else asked.version.partition("@")[0]
    return asker.job(asked, model, data.revision, order.to_json())


def _refusal(field: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code="bad_field", field=field, message=message, hint=hint)])
