"""The operator thread: promotes, rolls back, promotes broken versions, starts and cancels jobs."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException

from benchmarks.serving.load import HOST
from benchmarks.soak.house import BROKEN, DAMAGED, DATASET, FAMILIES, GOOD, NO_NUMBERS
from benchmarks.soak.record import Move, Record
from models.types import JsonObject

PATIENCE_S = 60.0
PROMOTED = "promote"
TRAINED = {"kind": "train", "model": "nobody-waits-for", "dataset": DATASET}


class Operator:
    """Thread that performs one action every ``pause_s`` through either server; a failure is an error of the record."""

    def __init__(self, ports: Sequence[int], key: str, record: Record, pause_s: float) -> None:
        self._ports, self._key, self._record, self._pause_s = ports, key, record, pause_s
        self._rng = random.Random("operator")
        self._points_at = dict.fromkeys(FAMILIES, GOOD[0])
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start the thread; all aliases point at the first version."""
        for model in FAMILIES:
            self._record.moved(Move(model, GOOD[0], 0.0, 0.0))
        self._thread.start()

    def end(self) -> None:
        """Finish the present action and stop."""
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        deeds: Sequence[Callable[[], None]] = (self.promote, self.break_it, self.damage, self.cancel, self.look)
        while not self._end.wait(self._pause_s):
            (deed,) = self._rng.choices(deeds, weights=(12, 2, 1, 2, 2))
            try:
                deed()
            except (OSError, HTTPException, KeyError, ValueError) as error:
                self._record.fail(deed.__name__, f"{type(error).__name__} {error}")

    def promote(self) -> None:
        """Move the champion of a random model to another valid version: promote, or roll back."""
        model = self._rng.choice(list(FAMILIES))
        number = self._rng.choice([number for number in GOOD if number != self._points_at[model]])
        began_s = time.monotonic()
        if self._puts(PROMOTED, model, number, 200):
            self._points_at[model] = number
            self._record.moved(Move(model, number, began_s, time.monotonic()))

    def break_it(self) -> None:
        """Move an alias to a version without finite forecasts: the service falls back to the version before."""
        if self._puts("break", BROKEN, NO_NUMBERS, 200):
            self._points_at[BROKEN] = NO_NUMBERS

    def damage(self) -> None:
        """Try to move an alias to a version that cannot be loaded; the service refuses."""
        self._puts("damage", BROKEN, DAMAGED, 500)

    def cancel(self) -> None:
        """Start a training job and cancel it."""
        status, job = self._call("POST", "/v1/jobs", TRAINED)
        if self._is("start", 202, status, job):
            self._is("cancel", 202, *self._call("POST", f"/v1/jobs/{json.loads(job)['id']}/cancel", {}))

    def look(self) -> None:
        """Read health, lists and quality."""
        for path in ("/readyz", "/v1/models", "/v1/jobs", f"/v1/models/{BROKEN}/aliases/champion/moves"):
            self._is("look", 200, *self._call("GET", path))

    def _puts(self, what: str, model: str, number: int, expected: int) -> bool:
        path = f"/v1/models/{model}/aliases/champion"
        return self._is(what, expected, *self._call("PUT", path, {"version": number, "reason": what}))

    def _is(self, what: str, expected: int, status: int, answer: bytes) -> bool:
        if status == expected:
            self._record.count(what, str(status))
        else:
            self._record.fail(what, f"{status} {answer[:300]!r}")
        return status == expected

    def _call(self, method: str, path: str, body: JsonObject | None = None) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body)
        return call(self._rng.choice(self._ports), self._key, method, path, content)


def call(port: int, key: str, method: str, path: str, content: str | None = None) -> tuple[int, bytes]:
    """Return status and content of an API answer."""
    connection = HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
