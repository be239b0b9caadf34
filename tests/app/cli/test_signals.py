import signal
from collections.abc import Iterator

import pytest

from app.cli.commands.signals import until_signalled


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_what_waits(number: signal.Signals) -> None:
    stop = until_signalled()
    assert not stop.wait(0.01)
    signal.raise_signal(number)
    assert stop.wait(10)


def test_a_signal_that_comes_within_the_wait_itself_does_not_hang_the_process() -> None:
    stop = until_signalled()
    with stop._cond:  # as a wait holds it for a moment; a handler that asked for it would never return
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait(10)
