"""A desk with the service's API behind it: for a process that has no database, on another machine."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from app.problems import CorruptBundle, NotFound, ServiceError
from app.store.jobs import Fenced
from app.store.outcome_codec import outcome_to_bytes
from app.store.outcomes import Outcome
from app.store.tasks import Task, VersionFacts
from app.work.attempt_credentials import AttemptCredentials
from app.work.http_client import HttpAnswer, HttpClient, ServiceUnreachable
from app.work.job_context import PATIENCE_S, RETRY_S, ArtifactWriter
from models.data.panel import Panel, panel_from_bytes
from models.errors import Fault, InputError
from models.training.parallel import ParallelMap, run_sequentially

logger = logging.getLogger(__name__)

TIMEOUT_S = 60.0
OCTETS = "application/octet-stream"


class HttpJobContext:
    """A ``JobContext`` over HTTP; waits ``patience_s`` for a service that does not answer, as when it is started anew.

    Every method raises ``Fenced`` once the attempt has lost its job, and ``ServiceUnreachable`` when patience is over.
    """

    def __init__(
        self,
        credentials: AttemptCredentials,
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
        parallel_map: ParallelMap = run_sequentially,
    ) -> None:
        self._service = HttpClient(credentials.url, credentials.secret, TIMEOUT_S)
        self._parallel_map = parallel_map
        self._patience_s, self._retry_s = patience_s, retry_s
        self._job: Task | None = None
        self._stop = False

    @property
    def job(self) -> Task:
        """See ``JobContext``; asked for once."""
        if self._job is None:
            self._job = Task(**self._ask("GET", "").json())
        return self._job

    @property
    def parallel_map(self) -> ParallelMap:
        """See ``JobContext``."""
        return self._parallel_map

    def load_panel(self, revision_id: int) -> Panel:
        """See ``JobContext``."""
        return panel_from_bytes(self._ask("GET", f"/panels/{revision_id}").body)

    def load_version(self, version_id: int) -> VersionFacts:
        """See ``JobContext``."""
        return VersionFacts.from_json(self._ask("GET", f"/versions/{version_id}").json())

    def load_champion(self) -> VersionFacts | None:
        """See ``JobContext``."""
        found = self._ask("GET", "/champion").json()
        return None if found is None else VersionFacts.from_json(found)

    def load_bundle(self, version_id: int) -> bytes:
        """See ``JobContext``."""
        return self._ask("GET", f"/versions/{version_id}/bundle").body

    def report_progress(self, progress: Mapping[str, Any]) -> bool:
        """See ``JobContext``; a service that does not answer is not waited for: the next report says more."""
        try:
            self._stop = bool(_good(self._service.say("POST", "/report", dict(progress))).json()["stop"])
        except ServiceUnreachable as error:
            logger.warning("a report was lost", extra={"reason": str(error)})
        return self._stop

    def log(self, line: str) -> None:
        """See ``JobContext``."""
        logger.info(line)
        self._say("/log", {"line": line})

    def load_checkpoint(self) -> bytes | None:
        """See ``JobContext``."""
        answer = self._ask("GET", "/checkpoint")
        return None if answer.status == 204 else answer.body

    def save_checkpoint(self, data: bytes) -> None:
        """See ``JobContext``; what is larger than the service takes is not kept."""
        try:
            self._ask("PUT", "/checkpoint", data)
        except TooLarge as error:
            logger.warning("the state of the work is not kept", extra={"reason": str(error)})

    @contextmanager
    def open_artifact(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        """See ``JobContext``."""
        begun = self._say("/artifacts", {"name": name, "media_type": media_type}).json()["id"]

        def send(number: int, data: bytes) -> None:
            self._ask("PUT", f"/artifacts/{begun}/parts/{number}", data)

        parts = ArtifactWriter(send)
        yield cast(BinaryIO, parts)
        parts.end()
        self._say(f"/artifacts/{begun}/complete", {"size_bytes": parts.size_bytes, "sha256": parts.sha256})

    def finish(self, outcome: Outcome) -> None:
        """See ``JobContext``. Where only the answer was lost, asking again is fenced: the job has ended, which is as
        well."""
        self._ask("POST", "/finish", outcome_to_bytes(outcome))

    def fail(self, code: str, message: str) -> None:
        """See ``JobContext``."""
        self._say("/fail", {"code": code, "message": message})

    def mark_cancelled(self) -> None:
        """See ``JobContext``."""
        self._ask("POST", "/cancelled", b"")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        return self._patiently(lambda: self._service.ask(method, path, body, OCTETS))

    def _say(self, path: str, values: Mapping[str, Any]) -> HttpAnswer:
        return self._patiently(lambda: self._service.say("POST", path, values))

    def _patiently(self, ask: Callable[[], HttpAnswer]) -> HttpAnswer:
        """The good answer to ``ask``, again while there is none."""
        end_s = time.monotonic() + self._patience_s
        while True:
            try:
                return _good(ask())
            except ServiceUnreachable as error:
                if time.monotonic() > end_s:
                    raise
                logger.warning("the service does not answer", extra={"reason": str(error)})
                time.sleep(self._retry_s)


class TooLarge(InputError):
    """What was to be sent is over the service's limit for a body."""


def _good(answer: HttpAnswer) -> HttpAnswer:
    """``answer``, or the error that it stands for."""
    if answer.status < 300:
        return answer
    detail = _detail(answer)
    if answer.status in (401, 409):
        raise Fenced(detail)
    if answer.status == 404:
        raise NotFound(detail)
    if answer.status == 413:
        raise TooLarge([Fault(code="too_large", message=detail, hint="raise FORECASTLE_MAX_BODY_BYTES of the service")])
    if answer.status == 500 and b'"corrupt_bundle"' in answer.body:
        raise CorruptBundle(detail)
    raise ServiceError(f"the service answers {answer.status}: {detail}")


def _detail(answer: HttpAnswer) -> str:
    try:
        said = answer.json()
    except ServiceUnreachable:
        said = None
    return str(said.get("detail", "")) if isinstance(said, dict) else answer.body[:200].decode(errors="replace")
