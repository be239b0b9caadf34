"""Export of one tenant as a ZIP archive; ``docs/tenants.md`` has its format."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import orjson

from app.formats.archive import zip_files
from app.formats.panel_table import parquet_pieces
from app.store import tenant_rows, tenants
from app.store.db import HEAD, Database, now

FORMAT = 1


def export_tenant(database: Database, name: str) -> Iterator[bytes]:
    """Yield the archive in pieces; in memory is one data set or one bundle at a time.

    Each file is read in transactions of its own: only the export of a suspended tenant is of one moment.

    Raises:
        NotFound: no such tenant.
    """
    with database.read() as session:
        tenant = tenants.get(session, name)
        manifest = {
            "format": FORMAT,
            "tenant": name,
            "exported_at": now(session),
            "suspended_at": tenant.suspended_at,
            "release": version("forecastle"),
            "schema": HEAD,
        }
    yield from zip_files(_files(database, tenant.id, orjson.dumps(manifest) + b"\n"))


def _files(database: Database, tenant_id: int, manifest: bytes) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "manifest.json", [manifest]
    for table, lines in tenant_rows.tables_of(database, tenant_id):
        yield f"tables/{table}.jsonl", lines
    for dataset, panel in tenant_rows.panels_of(database, tenant_id):
        yield f"datasets/{dataset}.parquet", parquet_pieces(panel)
    for model, number, bundle in tenant_rows.bundles_of(database, tenant_id):
        yield f"bundles/{model}/{number}.bundle", [bundle]
    for job_id, file, parts in tenant_rows.artifacts_of(database, tenant_id):
        yield f"artifacts/{job_id}/{file}", parts
