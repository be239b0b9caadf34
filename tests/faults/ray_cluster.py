"""A real Ray cluster for tests: two machines, each in a network namespace of its own, and this process beside them.

Ray listens on every address of its machine, so a test gives it machines that nobody else can reach: three namespaces
joined by a switch, in the range that is set aside for benchmarks (RFC 2544). A machine that is to die loses all its
processes at once.
"""

import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

START_TIMEOUT_S = 240
TRIES = 4
OBJECT_STORE_BYTES = 80_000_000  # about the least that Ray takes
PROGRAMS = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def missing() -> str | None:
    """Return the reason why no cluster can run here, or None."""
    if find_spec("ray") is None:
        return "Ray is not installed; pip install '.[ray]'"
    name = f"fc{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made here, and Ray must not listen on this machine's network: {error}"
    _ip("netns", "delete", name)
    return None


class Cluster:
    """A head and a worker node, each with one CPU; ``head_url`` accepts jobs, ``here`` is this process' own address."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(32)
        self._folder, self._name = folder, f"fc{os.getpid()}"
        self._net = f"198.18.{os.getpid() % 256}"
        self.here, self.head_host = f"{self._net}.1", f"{self._net}.2"
        self._hosts = {"head": self.head_host, "node": f"{self._net}.3"}

    @property
    def head_url(self) -> str:
        """The address at which the head accepts jobs."""
        return f"http://{self.head_host}:8265"

    def wire(self) -> None:
        """Create the switch, both machines, and the links between them and this process."""
        switch = self._namespace("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "name", "sw0", "type", "bridge")
        _ip("-n", switch, "link", "set", "sw0", "up")
        _ip("link", "add", f"{self._name}-0", "type", "veth", "peer", "name", "p1", "netns", switch)
        _ip("addr", "add", f"{self.here}/24", "dev", f"{self._name}-0")
        _ip("link", "set", f"{self._name}-0", "up")
        _ip("-n", switch, "link", "set", "p1", "master", "sw0", "up")
        for port, (machine, host) in enumerate(self._hosts.items(), start=2):
            own = self._namespace(machine)
            _ip("netns", "add", own)
            _ip("-n", own, "link", "add", "name", "eth0", "type", "veth", "peer", "name", f"p{port}", "netns", switch)
            _ip("-n", own, "addr", "add", f"{host}/24", "dev", "eth0")
            _ip("-n", own, "link", "set", "eth0", "up")
            _ip("-n", own, "link", "set", "lo", "up")
            _ip("-n", switch, "link", "set", f"p{port}", "master", "sw0", "up")

    def start(self) -> None:
        """Start Ray on both machines and wait until the head accepts jobs. Raise TimeoutError with Ray's output."""
        # One after the other: a node does not wait for long for its head.
        options = {"head": ["--head", "--port=6379", f"--dashboard-host={self.head_host}", "--disable-usage-stats"]}
        options["node"] = [f"--address={self.head_host}:6379"]
        for machine in self._hosts:
            # Ray gives its own parts 30 s, which a machine that has much else to do may not have for them.
            if not any(self._starts(machine, options[machine]) for _ in range(TRIES)):
                raise TimeoutError(f"Ray did not start on the {machine}:\n{(self._folder / machine).read_text()}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the head does not answer at {self.head_url}")
            time.sleep(0.1)

    def kill(self, machine: str) -> None:
        """Kill every process of ``machine`` (head or node) at once, as when its power fails."""
        while pids := self.pids(machine):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def end(self, pid: int) -> None:
        """Kill one process of either machine."""
        if pid not in [each for machine in self._hosts for each in self.pids(machine)]:
            raise ValueError(f"process {pid} is on none of the machines")
        os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Kill everything, and start it again on the same machines."""
        for machine in self._hosts:
            self.kill(machine)
        self.start()

    def pids(self, machine: str) -> list[int]:
        """Return the processes of ``machine``."""
        found = subprocess.run(["ip", "netns", "pids", self._namespace(machine)], capture_output=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def running(self, word: str, *machines: str) -> list[int]:
        """Return the processes of ``machines``, both unless given, with ``word`` in their command line."""
        every = [pid for machine in machines or self._hosts for pid in self.pids(machine)]
        return [pid for pid in every if word.encode() in _command(pid) and b"/bin/sh" not in _command(pid)]

    def logs(self) -> Iterator[Path]:
        """Return the log files of Ray."""
        return (file for file in self._folder.glob("*/session_2*/logs/**/*") if file.is_file())

    def close(self) -> None:
        """Kill everything on both machines, and delete the machines."""
        for machine in self._hosts:
            self.kill(machine)
        for machine in [*self._hosts, "switch"]:
            subprocess.run(["ip", "netns", "delete", self._namespace(machine)], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _namespace(self, machine: str) -> str:
        return f"{self._name}-{machine}"

    def _starts(self, machine: str, options: list[str]) -> bool:
        self.kill(machine)  # processes of an earlier try
        return self._ray(machine, *options).wait(START_TIMEOUT_S) == 0

    def _ray(self, machine: str, *options: str) -> "subprocess.Popen[bytes]":
        command = ["ip", "netns", "exec", self._namespace(machine), PROGRAMS / "ray", "start", *options]
        command += [f"--node-ip-address={self._hosts[machine]}", "--num-cpus=1", "--num-gpus=0"]
        command += [f"--object-store-memory={OBJECT_STORE_BYTES}", f"--temp-dir={self._folder / (machine + '.d')}"]
        own = {
            "PYTHONPATH": str(ROOT),  # job functions may be in the tests
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with (self._folder / machine).open("wb") as said:
            return subprocess.Popen(command, env={**os.environ, **own}, stdout=said, stderr=said)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.head_host, 8265, timeout=5)
        try:
            connection.request("GET", "/api/version", headers={"Authorization": f"Bearer {self.token}"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster, and delete it at the end of the block."""
    # Short: Ray puts sockets below it, whose names may have 107 characters.
    made = Cluster(Path(tempfile.mkdtemp(prefix="fcray-")))
    try:
        made.wire()
        made.start()
        yield made
    finally:
        made.close()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
