"""Database queries of serving: bundles, versions, aliases, interval scales, and the log of forecasts."""

from collections.abc import Iterable, Mapping, Sequence

from app.records import ForecastRecord
from app.serving.alias_refresher import AliasName
from app.serving.alias_state import ResolvedVersion
from app.store import alias_history, decisions, forecast_log, interval_scales, registry
from app.store.db import Database
from app.store.tables import Version
from models.network.spec import Spec
from models.training.report import VersionReport
from models.types import Floats

MAX_MOVES = 20  # of an alias, looked back on for a version that can be served


class ForecastStore:
    """Queries and writes of serving, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bundle(self, tenant_id: int, version_id: int) -> bytes:
        """Return a version's bundle, its checksum verified.

        Raises:
            NotFound: the tenant has no such version.
            CorruptBundle: the bytes do not have the checksum that was registered.
        """
        with self._database.read() as session:
            return registry.bundle(session, tenant_id, version_id)

    def look_up(self, tenant_id: int, model: str, number: int | None, alias: str | None) -> ResolvedVersion:
        """Return a version by its ``number`` or by ``alias``; exactly one of them is not None.

        Raises:
            NotFound: no such model, version or alias for this tenant.
        """
        with self._database.read() as session:
            version = registry.resolve(session, tenant_id, model, number, alias)
            return resolved_version(version, model, alias if number is None else None)

    def pointing(self, names: Sequence[AliasName]) -> Mapping[AliasName, int]:
        """Return the id of the version that each alias points at, without the aliases that do not exist."""
        with self._database.read() as session:
            return registry.aliased_versions(session, names)

    def history(self, tenant_id: int, model: str, alias: str) -> Iterable[ResolvedVersion]:
        """Return the versions of an alias's last ``MAX_MOVES`` moves, the newest first, each once."""
        with self._database.read() as session:
            moves = alias_history.alias_moves(session, tenant_id, model, alias, None, MAX_MOVES)
            row = registry.get_model(session, tenant_id, model)
            numbers = dict.fromkeys(move.to_version for move in moves if move.to_version is not None)
            versions = [registry.any_version(session, row, number) for number in numbers]
            return [resolved_version(one, model, alias) for one in versions if one.archived_at is None]

    def log(self, records: Sequence[ForecastRecord]) -> int:
        """Store served forecasts, and return the number of new ones."""
        with self._database.write() as session:
            return forecast_log.add(session, records)

    def interval_scales(self, version_ids: Sequence[int]) -> Mapping[int, Floats]:
        """Return the factors (99,) of the intervals of those versions that have learned some."""
        with self._database.read() as session:
            return interval_scales.load(session, version_ids)

    def challenger(self, tenant_id: int, model: str) -> int | None:
        """Return the id of the version that may become the model's champion, None if there is none."""
        with self._database.read() as session:
            return decisions.challenger(session, tenant_id, model)


def resolved_version(version: Version, model: str, alias: str | None) -> ResolvedVersion:
    """Convert a row of the registry to the type of ``app.serving``; ``alias`` is None if the request gave a number."""
    return ResolvedVersion(
        tenant_id=version.tenant_id,
        model=model,
        alias=alias,
        version_id=version.id,
        number=version.number,
        sha256=version.sha256,
        spec=Spec.from_json(version.spec),
        report=VersionReport.from_json(version.scores),
    )
