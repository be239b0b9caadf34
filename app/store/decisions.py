"""Decisions about versions: what the gate said of each, and what a person said where the gate left it to one."""

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import registry
from app.store.db import now
from app.store.tables import Decision, Model, Version
from models.errors import excerpt

PENDING = "pending"
CHALLENGER = "challenger"


def list_page(
    session: Session, tenant_id: int, model: str, after_id: int | None, size: int
) -> list[tuple[Decision, int]]:
    """Up to ``size`` decisions, newest first, after the id ``after_id`` (None: from the newest), each with its
    version's number. Raise NotFound for the model.
    """
    query = _of(registry.get_model(session, tenant_id, model).id)
    if after_id is not None:
        query = query.where(Decision.id < after_id)
    rows = session.execute(query.order_by(Decision.id.desc()).limit(size))
    return [(decision, number) for decision, number in rows]


def get(session: Session, tenant_id: int, model: str, number: int) -> Decision:
    """What was decided of the version ``number``. Raise NotFound for the model or the decision."""
    query = _of(registry.get_model(session, tenant_id, model).id).where(Version.number == number)
    found = session.execute(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        message = f"nothing was decided of version {number} of model {excerpt(model)}"
        raise NotFound(f"{message}; GET /v1/models/{excerpt(model)}/decisions lists the decisions")
    decision: Decision = found[0]
    return decision


def challenger(session: Session, tenant_id: int, model: str) -> int | None:
    """The id of the version that may take the champion's place: what the alias ``challenger`` points at, unless that is
    champion already, or else the newest that waits for approval; None where there is neither.
    """
    named, champion = ((tenant_id, model, alias) for alias in (CHALLENGER, registry.CHAMPION))
    found = registry.pointing(session, [named, champion])
    if named in found and found[named] != found.get(champion):
        return found[named]
    of_model = (Model.tenant_id == tenant_id, Model.name == model)
    waiting = select(Decision.version_id).join(Model, Model.id == Decision.model_id)
    newest = waiting.where(*of_model, Decision.verdict == PENDING).order_by(Decision.id.desc())
    return session.scalars(newest.limit(1)).one_or_none()


def approve(session: Session, tenant_id: int, move: registry.Move) -> Decision:
    """Promote the version that waits for it: ``move`` says whose, to which number, by whom and why.

    Raise NotFound, Conflict where the decision does not wait for anybody.
    """
    decision = _settle(session, tenant_id, move, "approved")
    registry.move_alias(session, tenant_id, move)
    return decision


def reject(session: Session, tenant_id: int, move: registry.Move) -> Decision:
    """Let the champion stay. Raise as ``approve``."""
    return _settle(session, tenant_id, move, "rejected")


def _settle(session: Session, tenant_id: int, move: registry.Move, verdict: str) -> Decision:
    registry.lock(session, tenant_id, move.model)  # two who decide at once decide one after the other
    decision = get(session, tenant_id, move.model, move.number)
    if decision.verdict != PENDING:
        raise Conflict(f"version {move.number} does not wait for approval: it was {decision.verdict} already")
    decision.verdict, decision.reason = verdict, f"{decision.reason}; {verdict}: {move.reason}"
    decision.decided_by, decision.decided_at = move.moved_by, now(session)
    session.flush()
    return decision


def _of(model_id: int) -> Select[Decision, int]:
    own = select(Decision, Version.number).join(Version, Version.id == Decision.version_id)
    return own.where(Decision.model_id == model_id)
