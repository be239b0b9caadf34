"""``forecastle serve`` as a process of its own, with a worker."""

import json
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from app.cli.commands.serve import banner
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import (
    children_of,
    crown,
    environment,
    eventually,
    gone,
    keep,
    look,
    put_away,
    queue,
    trainer_of,
    weeks,
)


@dataclass
class Serving:
    """A server that is ready, and its output so far."""

    process: psutil.Popen
    output: str

    @property
    def url(self) -> str:
        return self._after("URL")

    @property
    def key(self) -> str:
        """Return the line about the key."""
        return self._after("API key")

    def curl(self) -> str:
        """Return the example command of the banner."""
        [line] = [line for line in self.output.splitlines() if line.startswith("  curl ")]
        return line

    def worker(self) -> psutil.Process:
        """Return the worker process, once it runs."""
        return eventually(lambda: children_of(self.process, "worker"))[0]

    def _after(self, word: str) -> str:
        found = re.search(rf"^  {word} +(.+)$", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]


@contextmanager
def serving(home: Home, *words: str, ready: str = "Forecastle is ready", **settings: object) -> Iterator[Serving]:
    """Run a real server; kill it at the end of the block if it still runs."""
    log = home.folder / "log"
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "app", "serve", *words]
        env = environment(data_dir=home.folder, poll_s=0.1, **settings)
        process = psutil.Popen(command, env=env, stdout=stream, stderr=stream)
    try:
        eventually(lambda: process.poll() is not None or ready in log.read_text())
        assert process.poll() is None, log.read_text()
        yield Serving(process, log.read_text())
    finally:
        put_away(process)


def test_the_example_command_of_the_banner_returns_a_forecast(home: Home) -> None:
    database = home.database
    sales = keep(database, weeks())
    crown(database, sales)
    with serving(home, "--port", "0") as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
        result = subprocess.run(["bash", "-c", server.curl()], capture_output=True, text=True, check=True)
        answer = json.loads(result.stdout)
        assert (answer["model"]["name"], answer["model"]["version"]) == ("demand", 1)
        assert len(answer["forecasts"][0]["mean"]) == 4

        kept = home.folder / "api-key"
        key = kept.read_text().strip()
        assert server.key == f"in {kept}"
        assert key not in server.output
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.folder.glob("forecastle.db*")}
        assert set(modes.values()) == {0o600}, modes
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

        scheduler = eventually(lambda: children_of(server.process, "scheduler"))[0]
        first = server.worker()
        first.kill()
        second = eventually(lambda: (found := server.worker()).pid != first.pid and found)

        job = queue(database, sales)
        trainer = trainer_of(second)
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert gone(second)
        assert gone(scheduler)
        assert gone(trainer)
        back = look(database, job)
        assert (back.state, back.attempt) == ("queued", 0)
    with serving(home, "--port", "0") as again:
        assert (again.key, kept.read_text().strip()) == (server.key, key)
        assert key not in again.output
        worker = again.worker()
        again.process.kill()
        eventually(lambda: gone(worker))
    database.dispose()


def test_without_a_worker_there_is_no_key_and_no_example(home: Home) -> None:
    with serving(home, "--no-worker", "--port", "0") as server:
        assert server.key == "create one with 'forecastle keys create --name NAME'"
        assert "curl" not in server.output
        assert not (home.folder / "api-key").exists()
        assert server.process.children() == []
        assert httpx.get(f"{server.url}/livez").status_code == 200

        port = int(server.url.rpartition(":")[2])
        for check in ([], ["--check-port"]):
            command = [sys.executable, "-m", "app", "serve", "--port", str(port), *check]
            late = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            [line] = late.stderr.splitlines()
            assert late.returncode == 1
            assert line.startswith(
                f"error: port {port} of 127.0.0.1 is taken by another Forecastle, which serves already"
            )
            assert f"make serve PORT={port + 1}, forecastle serve --port {port + 1}, or FORECASTLE_PORT" in line

        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0


def test_a_port_of_another_program_is_refused_in_words(forecastle: Forecastle, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = forecastle("serve", "--check-port", "--port", port)
    assert refused(result, f"port {port} of 127.0.0.1 is taken by another program; choose another")
    assert forecastle("serve", "--check-port", "--port", port).exit_code == 0


def test_a_port_that_is_taken_on_ipv4_alone_is_free_on_ipv6(forecastle: Forecastle, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert forecastle("serve", "--check-port", "--host", "::", "--port", port).exit_code == 0
        assert refused(forecastle("serve", "--check-port", "--port", port), f"port {port}")


def test_an_address_of_another_machine_is_refused_in_words(forecastle: Forecastle, home: Home) -> None:
    result = forecastle("serve", "--check-port", "--host", "192.0.2.1", "--port", "0")
    assert refused(result, "this machine cannot listen on 192.0.2.1", "give --host an address of it")


def test_the_banner_shows_no_key_to_a_tenant_with_other_keys(home: Home) -> None:
    # The first key was revoked, or created by hand; the tenant has another key.
    (home.folder / "api-key").write_text("fc_notakey_\n")
    command = [sys.executable, "-m", "app", "keys", "create", "--name", "mine"]
    subprocess.run(command, capture_output=True, check=True)
    with serving(home, "--port", "0", "--host", "::1") as server:
        assert re.fullmatch(r"http://\[::1\]:\d+", server.url)
        assert server.key.startswith("create one with")
        server.process.terminate()
        assert server.process.wait(60) == 0


@pytest.mark.parametrize("words", [["serve"], ["worker"]], ids=["serve", "worker"])
def test_nothing_starts_on_a_database_that_is_not_migrated(empty: Home, words: list[str]) -> None:
    command = [sys.executable, "-m", "app", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"error: there is no database {empty.folder / 'forecastle.db'}; run 'forecastle migrate'"
    )
    assert list(empty.folder.iterdir()) == []


def test_the_example_command_is_quoted_for_the_shell(tmp_path: Path) -> None:
    example = {"model": "demand", "dataset": {"name": "sales", "ids": ["O'Brien's $HOME `id`"]}, "horizon": 4}
    file = tmp_path / "O'Brien's $HOME" / "api-key"
    file.parent.mkdir()
    file.write_text("fc_key\n")
    shown = banner("http://127.0.0.1:8000", "/data/forecastle.db", file, example)
    [line] = [line for line in shown.splitlines() if "curl" in line]
    result = subprocess.run(
        ["bash", "-c", line.replace("curl", "printf '%s\\n'")], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout.splitlines()[-1]) == example
    assert "Authorization: Bearer fc_key" in result.stdout.splitlines()
    without = banner("http://127.0.0.1:8000", "/data/forecastle.db", file, None)
    assert "curl" not in without
    assert "  Data     /data/forecastle.db\n" in without
    assert re.search(r"columns unique_id, ds, y:\n\n  \S*forecastle train data.csv --model mine\n", without)
