"""The log never blocks the service: what nobody reads is dropped, counted and said."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from app.telemetry.line_writer import LineWriter
from tests.app.api.slow import wait_until

LINE = "x" * 99 + "\n"
F_SETPIPE_SZ = 1031  # of Linux
PIPE_BYTES = 4096


@pytest.fixture(name="pipe")
def pipe_fixture() -> Iterator[tuple[int, int]]:
    """A pipe that holds 4,096 bytes."""
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, PIPE_BYTES)
    yield read, write
    os.set_blocking(read, False)
    while os.read(read, 65_536):  # lets the thread of the writer finish
        threading.Event().wait(0.03)


def say(count: int) -> str:
    return f"{count} lines were dropped\n"


def read_until(fd: int, text: bytes) -> bytes:
    got = b""
    while text not in got:
        got += os.read(fd, 65_536)
    return got


def test_lines_arrive_in_order_and_flush_waits_for_them(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], say)
    for number in range(20):
        writer.write(f"line {number}\n")
    writer.flush()
    assert os.read(pipe[0], 65_536).decode() == "".join(f"line {number}\n" for number in range(20))
    os.close(pipe[1])


def test_lines_that_nobody_reads_are_dropped_counted_and_said_and_no_caller_waits(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], say, max_waiting_chars=10_000)
    writer.write(LINE * 60)  # more than the pipe holds: the thread waits in the middle of its write
    wait_until(lambda: writer._is_writing)
    for _ in range(150):
        writer.write(LINE)
    assert writer.dropped == 50  # 100 lines wait
    writer.flush(timeout_s=0.01)  # gives up
    read_until(pipe[0], b"50 lines were dropped\n")
    writer.write("the end\n")
    assert read_until(pipe[0], b"the end\n").count(b"dropped") == 0
    assert writer.dropped == 50
    os.close(pipe[1])


def test_a_reader_that_is_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = LineWriter(write, say)
    writer.write("a\nb\n")
    writer.flush()
    assert writer.dropped == 2
    os.close(write)


def test_a_process_whose_log_nobody_reads_ends() -> None:
    program = (
        "import logging, app.telemetry as t; t.configure_logging(); log = logging.getLogger('x')\n"
        "for _ in range(30_000): log.info('y' * 100)\n"
        "print(t.lines_dropped() > 10_000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"True\n"  # before the change the process stands here for ever
        assert process.wait(30) == 0
