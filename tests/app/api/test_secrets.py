"""Secrets stay where they belong: not in logs, answers, metrics or the text of the settings."""

import json
import logging

import pytest

from app.settings import Settings
from app.telemetry import JsonFormatter, LineFormatter
from tests.app.api.conftest import Caller, House

CANARY = "Canary" + "7" * 37
HOSTILE = "a\r\nFAKE 2026 INFO \x1b[2J" + "x" * 100_000


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_no_secret_and_no_second_line_gets_into_the_log_the_answers_or_the_metrics(
    house: House, acme: Caller, caplog: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    caplog.set_level(logging.DEBUG)
    hook = {"name": "desk", "url": "https://93.184.216.34/hook", "events": ["job.failed"]}
    secret = house.acme.post("/v1/webhooks", json=hook)["secret"].removeprefix("whsec_")
    stranger = Caller(house.client, f"fc_abcdefgh_{CANARY}")
    broken = house.register(b"no bundle", model="broken")
    assert broken.number == 1
    answers = [
        stranger.ask("GET", "/v1/jobs"),
        acme.ask("GET", "/v1/jobs", headers={"x-api-key": CANARY, "cookie": CANARY}),
        acme.ask("GET", f"/v1/jobs?password={CANARY}"),
        acme.ask("POST", "/v1/webhooks", json={**hook, "url": f"https://me:{CANARY}@93.184.216.34/"}),
        acme.ask("POST", "/v1/forecasts", json={"model": "broken", "history": {"y": [1.0] * 40}, "freq": "D"}),
        acme.ask("POST", "/v1/jobs", json={"kind": HOSTILE}),
        acme.ask("GET", "/v1/webhooks/desk"),
        acme.ask("GET", "/metrics"),
    ]
    assert {401, 422} <= {answer.status_code for answer in answers}
    lines = [formatter.format(record) for record in caplog.records]
    assert all(line.isprintable() and len(line.encode()) <= 16 * 1024 for line in lines)
    seen = "\n".join([*lines, *(answer.text + str(answer.headers) for answer in answers)])
    for word in (CANARY, secret, acme.key[12:], "FAKE 2026 INFO \x1b"):
        assert word not in seen
    if isinstance(formatter, JsonFormatter):
        assert all(json.loads(line)["time"] for line in lines)


def test_settings_show_no_secret() -> None:
    within = Settings(database_url=f"postgresql+psycopg://me:{CANARY}@db/x")
    apart = Settings(database_url="postgresql+psycopg://me@db/x", database_password=CANARY)
    assert CANARY not in repr(within) + str(within) + repr(apart) + str(apart)
