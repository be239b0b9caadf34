"""Decisions about versions: the verdict of the gate, and a person's approval or rejection if it is pending."""

from typing import Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import audit_log, registry
from app.store.db import now
from app.store.tables import Decision, Model, Version
from models.errors import excerpt

PENDING = "pending"
Verdict = Literal["approved", "rejected"]  # of a person
CHALLENGER = "challenger"


def list_page(
    session: Session, tenant_id: int, model: str, after_id: int | None, size: int
) -> list[tuple[Decision, int | None]]:
    """Return up to ``size`` decisions with an id below ``after_id`` (None: all), newest first.

    Each comes with the number of its version, None if nothing was trained. Raise NotFound for the model.
    """
    query = _of(registry.get_model(session, tenant_id, model).id)
    if after_id is not None:
        query = query.where(Decision.id < after_id)
    rows = session.execute(query.order_by(Decision.id.desc()).limit(size))
    return [(decision, number) for decision, number in rows]


def get(session: Session, tenant_id: int, model: str, number: int) -> Decision:
    """Return the decision about the version ``number``. Raise NotFound for the model or the decision."""
    query = _of(registry.get_model(session, tenant_id, model).id).where(Version.number == number)
    found = session.execute(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        message = f"there is no decision about version {number} of model {excerpt(model)}"
        raise NotFound(f"{message}; GET /v1/models/{excerpt(model)}/decisions lists the decisions")
    decision: Decision = found[0]
    return decision


def challenger(session: Session, tenant_id: int, model: str) -> int | None:
    """Return the id of the version that may replace the champion; None if there is none.

    It is the version of the alias ``challenger``, unless that is the champion, else the newest that waits for approval.
    """
    named, champion = ((tenant_id, model, alias) for alias in (CHALLENGER, registry.CHAMPION))
    aliased = registry.aliased_versions(session, [named, champion])
    if named in aliased and aliased[named] != aliased.get(champion):
        return aliased[named]
    of_model = (Model.tenant_id == tenant_id, Model.name == model)
    waiting = select(Decision.version_id).join(Model, Model.id == Decision.model_id)
    newest = waiting.where(*of_model, Decision.verdict == PENDING).order_by(Decision.id.desc())
    return session.scalars(newest.limit(1)).one_or_none()


def approve(session: Session, tenant_id: int, move: registry.Move) -> Decision:
    """Promote the version of ``move``, which waits for approval.

    Raise NotFound, Conflict if the decision does not wait for approval.
    """
    decision = _settle(session, tenant_id, move, "approved")
    registry.move_alias(session, tenant_id, move)
    return decision


def reject(session: Session, tenant_id: int, move: registry.Move) -> Decision:
    """Keep the champion. Raise as ``approve``."""
    return _settle(session, tenant_id, move, "rejected")


def _settle(session: Session, tenant_id: int, move: registry.Move, verdict: Verdict) -> Decision:
    registry.lock_model(session, tenant_id, move.model)  # concurrent decisions are made one after the other
    assert move.number is not None
    decision = get(session, tenant_id, move.model, move.number)
    if decision.verdict != PENDING:
        raise Conflict(f"version {move.number} does not wait for approval: it was {decision.verdict} already")
    decision.verdict, decision.reason = verdict, f"{decision.reason}; {verdict}: {move.reason}"
    decision.decided_by, decision.decided_at = move.moved_by, now(session)
    session.flush()
    action: audit_log.Action = "decision.approved" if verdict == "approved" else "decision.rejected"
    subject, detail = f"{move.model}@{move.number}", {"reason": move.reason}
    audit_log.record(session, tenant_id, move.moved_by, action, subject, detail)
    return decision


def _of(model_id: int) -> Select[Decision, int | None]:
    own = select(Decision, Version.number).outerjoin(Version, Version.id == Decision.version_id)
    return own.where(Decision.model_id == model_id)
