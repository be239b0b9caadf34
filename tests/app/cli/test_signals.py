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
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    stop = until_signalled()
    assert not stop.wait(0.01)
    signal.raise_signal(number)
    assert stop.wait(10)


def test_a_signal_during_the_wait_does_not_block_the_process() -> None:
    stop = until_signalled()
    with stop._cond:  # a wait holds it for a moment; a handler that acquired it would never return
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait(10)
