"""Decisions about a model's versions, approval and rejection by a person, and rollback."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Body

from app.api.http.pagination import PageSize, PageToken, after_id, read_page
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.api.models import Number, alias_answer
from app.principal import Principal
from app.schemas.base import Page
from app.schemas.decisions import DecisionAnswer, ReasonRequest
from app.schemas.models import AliasAnswer
from app.service import Service
from app.store import alias_history, decisions, registry, schedules
from app.store.registry import CHAMPION, Move
from app.store.tables import Decision

router = APIRouter(tags=["models"], route_class=WriteRoute)

Why = Annotated[ReasonRequest, Body(default_factory=ReasonRequest)]


@router.get("/v1/models/{name}/decisions", responses=problems(404), summary="List decisions")
def list_decisions(
    name: PathName, service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[DecisionAnswer]:
    """List the decisions about versions with their reasons, newest first; also those to train nothing."""
    with service.database.read() as session:

        def answers(rows: Sequence[tuple[Decision, int | None]]) -> list[DecisionAnswer]:
            names = schedules.names_of(session, caller.tenant_id, [row.schedule_id for row, _ in rows])
            return [_decision(name, number, row, names) for row, number in rows]

        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: decisions.list_page(session, caller.tenant_id, name, after, size),
            answers,
            lambda row: row[0].id,
        )


@router.post(
    "/v1/models/{name}/decisions/{number}/approve", responses=problems(403, 404, 409), summary="Approve a version"
)
def approve(name: PathName, number: Number, service: CurrentService, caller: Caller, request: Why) -> DecisionAnswer:
    """Promote a version with a pending decision; a version that cannot be loaded is refused."""
    _check_loadable(service, caller, name, number)
    move = Move(model=name, alias=CHAMPION, number=number, reason=request.reason, moved_by=caller.key_id)
    with service.database.write() as session:
        row = decisions.approve(session, caller.tenant_id, move)
        names = schedules.names_of(session, caller.tenant_id, [row.schedule_id])
    service.aliases.forget((caller.tenant_id, name, CHAMPION))
    return _decision(name, number, row, names)


@router.post(
    "/v1/models/{name}/decisions/{number}/reject", responses=problems(403, 404, 409), summary="Reject a version"
)
def reject(name: PathName, number: Number, service: CurrentService, caller: Caller, request: Why) -> DecisionAnswer:
    """Reject a version with a pending decision; the champion stays."""
    move = Move(model=name, alias=CHAMPION, number=number, reason=request.reason, moved_by=caller.key_id)
    with service.database.write() as session:
        row = decisions.reject(session, caller.tenant_id, move)
        names = schedules.names_of(session, caller.tenant_id, [row.schedule_id])
    return _decision(name, number, row, names)


@router.post(
    "/v1/models/{name}/aliases/{alias}/rollback", responses=problems(403, 404, 409), summary="Roll an alias back"
)
def roll_back(name: PathName, alias: PathName, service: CurrentService, caller: Caller, request: Why) -> AliasAnswer:
    """Point an alias at its version before the last move; doing it twice undoes it.

    A version that cannot be loaded is refused, and so is an alias that has pointed at one version only.
    """
    with service.database.read() as session:
        number = alias_history.previous_number(session, caller.tenant_id, name, alias)
    _check_loadable(service, caller, name, number)
    reason = f"rolled back: {request.reason}"
    move = Move(model=name, alias=alias, number=number, reason=reason, moved_by=caller.key_id)
    with service.database.write() as session:
        answer = alias_answer(registry.move_alias(session, caller.tenant_id, move))
    service.aliases.forget((caller.tenant_id, name, alias))
    return answer


def _check_loadable(service: Service, caller: Principal, name: str, number: int) -> None:
    with service.database.read() as session:
        version = registry.resolve(session, caller.tenant_id, name, number, None)
    service.models.get(caller.tenant_id, version.id)


def _decision(model: str, number: int | None, row: Decision, schedule_names: Mapping[int, str]) -> DecisionAnswer:
    return DecisionAnswer(
        model=model,
        version=number,
        verdict=row.verdict,
        reason=row.reason,
        policy=row.policy,
        numbers=row.numbers,
        schedule=None if row.schedule_id is None else schedule_names.get(row.schedule_id),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
