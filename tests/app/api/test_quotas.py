"""Quotas over the API: 403 with quota, number, limit and remedy."""

from pathlib import Path

from app.store import quotas
from tests.app.api.conftest import SALES, open_house


def test_a_data_set_too_many_is_refused_until_the_operator_raises_the_quota(
    sqlite_template: Path, tmp_path: Path
) -> None:
    with open_house(sqlite_template, tmp_path, max_datasets=1) as house:
        house.acme.keep("sales", SALES)
        request = {"json": {"unique_id": ["a"] * 3, "ds": ["2026-01-01", "2026-01-02", "2026-01-03"], "y": [1, 2, 3]}}
        answer = house.acme.ask("POST", "/v1/datasets?name=more", **request)
        assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded")
        assert "retry-after" not in answer.headers  # no waiting helps
        assert answer.json()["errors"] == [
            {
                "code": "max_datasets",
                "message": "your tenant would have 2 data sets, and 1 are allowed",
                "hint": "append to one that exists, or ask the operator for a higher quota max_datasets",
            }
        ]
        assert house.acme.refused("POST", "/v1/datasets?name=sales", **request)[:2] == (409, "conflict")
        assert [item["dataset"] for item in house.acme.get("/v1/datasets")["items"]] == ["sales"]
        house.rival.keep("more", SALES)
        with house.database.write() as session:
            quotas.set_quota(session, "acme", "max_datasets", "2", "cli")
        house.acme.post("/v1/datasets?name=more", **request)
