"""The store as serving sees it: what its parts are given to ask the database with, and to tell it."""

from collections.abc import Iterator, Mapping, Sequence

from app.records import Record
from app.serving.alias_refresher import Name, Reads
from app.serving.alias_state import Target
from app.store import decisions, forecast_log, interval_scales, registry
from app.store.db import Database
from app.store.tables import Version
from models.network.spec import Spec
from models.training.report import VersionReport

MAX_MOVES = 20  # of an alias, looked back on for a version that can be served


def bundle(database: Database, tenant_id: int, version_id: int) -> bytes:
    """The version's bundle, checked. Raise CorruptBundle or NotFound."""
    with database.read() as session:
        return registry.bundle(session, tenant_id, version_id)


def reads(database: Database) -> Reads:
    """How ``app.serving.version_resolver`` asks ``database``."""

    def look_up(tenant_id: int, model: str, number: int | None, alias: str | None) -> Target:
        with database.read() as session:
            found = registry.resolve(session, tenant_id, model, number, alias)
            return target_of(found, model, alias if number is None else None)

    def pointing(names: Sequence[Name]) -> dict[Name, int]:
        with database.read() as session:
            return registry.pointing(session, names)

    def history(tenant_id: int, model: str, alias: str) -> Iterator[Target]:
        with database.read() as session:
            moves = registry.alias_moves(session, tenant_id, model, alias, None, MAX_MOVES)
            numbers = dict.fromkeys(move.to_version for move in moves)
            found = [registry.resolve(session, tenant_id, model, number, None) for number in numbers]
            return iter([target_of(one, model, alias) for one in found])

    return Reads(look_up, pointing, history)


def log(database: Database, records: Sequence[Record]) -> int:
    """Keep served forecasts; how many are new."""
    with database.write() as session:
        return forecast_log.add(session, records)


def stretches(database: Database, version_ids: Sequence[int]) -> Mapping[int, Sequence[float]]:
    """By how much the intervals of versions are widened by what came."""
    with database.read() as session:
        return interval_scales.stretches(session, version_ids)


def challenger(database: Database, tenant_id: int, model: str) -> int | None:
    """The id of the version that may become the model's champion: see ``app.store.decisions``."""
    with database.read() as session:
        return decisions.challenger(session, tenant_id, model)


def target_of(version: Version, model: str, alias: str | None) -> Target:
    """What answers say of ``version``."""
    return Target(
        tenant_id=version.tenant_id,
        model=model,
        alias=alias,
        version_id=version.id,
        number=version.number,
        sha256=version.sha256,
        spec=Spec.from_json(version.spec),
        report=VersionReport.from_json(version.scores),
    )
