"""GET /v1/tenants/{name}/export: all that a tenant has, in files that other programs read, and no secret."""

import io
import json
import zipfile
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq

from app.formats.archive import CHECKSUMS
from app.store import tenant_rows
from app.store.tables import Base
from models.forecasting import bundle
from tests.app.api.conftest import House, on_both
from tests.app.api.test_tenants import furnish, leave_file
from tests.app.store.rows import fill_tables
from tests.fakes import says


def exported(house: House, name: str) -> zipfile.ZipFile:
    answer = house.operator.ask("GET", f"/v1/tenants/{name}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def rows(archive: zipfile.ZipFile, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"tables/{table}.jsonl").splitlines()]


@on_both
def test_an_export_has_the_rows_data_bundles_and_files_of_one_tenant(house: House) -> None:
    version = house.register(says(1, 2, -1))
    furnish(house)
    leave_file(house, "demand.csv")
    house.rival.keep("theirs", [("spy", f"2026-01-0{day}", 1) for day in range(1, 6)])
    archive = exported(house, "acme")
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["format"], manifest["tenant"]) == (1, "acme")
    assert [row["name"] for row in rows(archive, "schedules")] == ["demand"]
    assert {row["tenant_id"] for row in rows(archive, "jobs")} == {house.tenants["acme"]}
    table = pq.read_table(io.BytesIO(archive.read("datasets/sales.parquet"))).to_pydict()
    assert (table["unique_id"][0], table["y"][:4]) == ("shop", [4, 6, 8, 10])
    [made] = [name for name in archive.namelist() if name.startswith("bundles/")]
    assert made == "bundles/demand/1.bundle"
    assert sha256(archive.read(made)).hexdigest() == version.sha256
    assert bundle.from_bytes(archive.read(made)).members
    [file] = [name for name in archive.namelist() if name.startswith("artifacts/")]
    assert archive.read(file) == b"ds,mean"
    listed = dict(reversed(line.split("  ")) for line in archive.read(CHECKSUMS).decode().splitlines())
    assert listed == {name: sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != CHECKSUMS}
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"theirs" not in everything
    for secret in (house.acme.key[12:], "whsec_"):
        assert secret.encode() not in everything


def test_every_column_with_a_secret_is_left_out() -> None:
    named = {column.name for table in Base.metadata.sorted_tables for column in table.c if "secret" in column.name}
    assert named <= tenant_rows.SECRET_COLUMNS


def test_long_tables_are_read_in_pages_and_every_table_has_a_file(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(tenant_rows, "ROWS_AT_ONCE", 2)
    with house.database.write() as session:
        fill_tables(session, house.tenants["rival"])
    for _ in range(4):
        house.rival.post("/v1/keys", json={"name": "k", "scope": "read"})
    content = {name: list(lines) for name, lines in tenant_rows.tables_of(house.database, house.tenants["rival"])}
    assert len(content["api_keys"]) == 5
    assert all(content.values())
    assert content.keys() >= {"jobs", "job_events", "deliveries", "webhooks", "audit_events"}


def test_an_unknown_tenant_has_no_export(house: House) -> None:
    assert house.operator.refused("GET", "/v1/tenants/never-was/export") == (404, "not_found", None)
