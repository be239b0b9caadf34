"""An event that SIGTERM and SIGINT set, for a process that works until it is stopped."""

import signal
import threading
from queue import SimpleQueue


def until_signalled() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; to be called in the main thread.

    Python handles a signal in the main thread, wherever that is. If it is within ``wait`` of this very event, a handler
    that called ``set`` would wait for the event's lock forever. So the handler only puts into a queue whose ``put`` is
    reentrant, and another thread sets the event.
    """
    stop, received = threading.Event(), SimpleQueue[int]()

    def set_when_received() -> None:
        received.get()
        stop.set()

    threading.Thread(target=set_when_received, name="until-signalled", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.put(number))
    return stop
