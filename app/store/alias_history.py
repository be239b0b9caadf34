"""History of an alias: its moves, and the version before the last one."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import registry
from app.store.tables import AliasMove
from models.errors import excerpt


def alias_moves(
    session: Session, tenant_id: int, model: str, alias: str, after_id: int | None, size: int
) -> list[AliasMove]:
    """Return up to ``size`` moves with an id below ``after_id`` (None: all), newest first.

    Raise NotFound for the model.
    """
    model_id = registry.get_model(session, tenant_id, model).id
    query = select(AliasMove).where(AliasMove.model_id == model_id, AliasMove.alias == alias)
    if after_id is not None:
        query = query.where(AliasMove.id < after_id)
    return list(session.scalars(query.order_by(AliasMove.id.desc()).limit(size)))


def previous_number(session: Session, tenant_id: int, model: str, alias: str) -> int:
    """Return the number of the version that the alias pointed at before its last move.

    Raise NotFound for the model or the alias, Conflict if it has pointed at one version only.
    """
    moves = alias_moves(session, tenant_id, model, alias, None, 1)
    if not moves:
        raise NotFound(f"model {excerpt(model)} has no alias {excerpt(alias)}; it has never pointed at anything")
    if moves[0].from_version is None:
        message = f"alias {excerpt(alias)} has pointed at version {moves[0].to_version} only"
        raise Conflict(f"{message}; there is nothing to roll back to")
    return moves[0].from_version
