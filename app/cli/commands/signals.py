"""How a process that works until it is told to stop is told."""

import signal
import threading
from queue import SimpleQueue


def until_signalled() -> threading.Event:
    """What SIGTERM and SIGINT set from now on; to be called in the main thread.

    A signal is handled wherever the main thread is, also within a wait on this very event, whose lock the handler would
    then wait for without end. So the handler only puts into a queue that may be put into from anywhere (its ``put`` is
    reentrant), and a thread sets the event.
    """
    stop, told = threading.Event(), SimpleQueue[int]()

    def pass_on() -> None:
        told.get()
        stop.set()

    threading.Thread(target=pass_on, name="until-told", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: told.put(received))
    return stop
