"""The context of a running job over the service's API: for a process on another machine, without a database."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from app.problems import CorruptBundle, NotFound, ServiceError
from app.store.job_limits import JobLimits
from app.store.jobs import Fenced, JobProgress
from app.store.outcome_codec import outcome_to_bytes
from app.store.outcomes import Outcome
from app.store.tasks import Task, VersionFacts
from app.work.artifact_writer import ArtifactWriter
from app.work.attempt_credentials import AttemptCredentials
from app.work.http_client import HttpAnswer, HttpClient, ServiceUnreachable
from app.work.job_context import PATIENCE_S, RETRY_S
from app.work.loop import retry
from models.data.lengths import SeriesLengths
from models.data.panel import Panel, panel_from_bytes
from models.errors import Fault, InputError
from models.training.parallel import ParallelMap, run_sequentially
from models.types import JsonObject

logger = logging.getLogger(__name__)

TIMEOUT_S = 60.0
OCTETS = "application/octet-stream"


class HttpJobContext:
    """A ``JobContext`` over HTTP; it waits up to ``patience_s`` seconds for an unreachable service, as in a restart.

    Every method raises ``Fenced`` once the attempt has lost its job, and ``ServiceUnreachable`` after that wait.
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
        self._job: tuple[Task, JobLimits] | None = None
        self._stop = False
        self._lengths: dict[int, SeriesLengths] = {}

    @property
    def job(self) -> Task:
        return self._described()[0]

    @property
    def limits(self) -> JobLimits:
        return self._described()[1]

    @property
    def parallel_map(self) -> ParallelMap:
        return self._parallel_map

    def load_panel(self, revision_id: int) -> Panel:
        return panel_from_bytes(self._request("GET", f"/panels/{revision_id}").body)

    def series_lengths(self, revision_id: int) -> SeriesLengths:
        if revision_id not in self._lengths:
            self._lengths[revision_id] = SeriesLengths.of(self.load_panel(revision_id))
        return self._lengths[revision_id]

    def load_version(self, version_id: int) -> VersionFacts:
        return VersionFacts.from_json(self._request("GET", f"/versions/{version_id}").json())

    def load_champion(self) -> VersionFacts | None:
        found = self._request("GET", "/champion").json()
        return None if found is None else VersionFacts.from_json(found)

    def load_bundle(self, version_id: int) -> bytes:
        return self._request("GET", f"/versions/{version_id}/bundle").body

    def report_progress(self, progress: JobProgress) -> bool:
        try:
            self._stop = bool(_checked(self._service.send_json("POST", "/report", progress.to_json())).json()["stop"])
        except ServiceUnreachable as error:
            logger.warning("a progress report was not stored", extra={"reason": error.reason})
        return self._stop

    def log(self, line: str) -> None:
        logger.info(line)
        self._send_json("/log", {"line": line})

    def load_checkpoint(self) -> bytes | None:
        answer = self._request("GET", "/checkpoint")
        return None if answer.status == 204 else answer.body

    def save_checkpoint(self, data: bytes) -> None:
        # A checkpoint over the size limit of the service is left out: the next attempt repeats the work.
        try:
            self._request("PUT", "/checkpoint", data)
        except TooLarge as error:
            logger.warning("a checkpoint was not stored", extra={"reason": str(error)})

    @contextmanager
    def open_artifact(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        artifact_id = self._send_json("/artifacts", {"name": name, "media_type": media_type}).json()["id"]

        def send(number: int, data: bytes) -> None:
            self._request("PUT", f"/artifacts/{artifact_id}/parts/{number}", data)

        writer = ArtifactWriter(send)
        yield cast(BinaryIO, writer)
        writer.end()
        self._send_json(
            f"/artifacts/{artifact_id}/complete", {"size_bytes": writer.size_bytes, "sha256": writer.sha256}
        )

    def finish(self, outcome: Outcome) -> None:
        # If only the answer was lost, the second request is fenced: the job has ended, as it should.
        self._request("POST", "/finish", outcome_to_bytes(outcome))

    def fail(self, code: str, message: str) -> None:
        self._send_json("/fail", {"code": code, "message": message})

    def mark_cancelled(self) -> None:
        self._request("POST", "/cancelled", b"")

    def _described(self) -> tuple[Task, JobLimits]:
        """Return the job and its limits; a service of an earlier release sends no limits."""
        if self._job is None:
            values = self._request("GET", "").json()
            limits = JobLimits(**values.pop("limits", {}))
            self._job = Task(**values), limits
        return self._job

    def _request(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        return self._retry(lambda: self._service.request(method, path, body, OCTETS))

    def _send_json(self, path: str, values: JsonObject) -> HttpAnswer:
        return self._retry(lambda: self._service.send_json("POST", path, values))

    def _retry(self, call: Callable[[], HttpAnswer]) -> HttpAnswer:
        return retry(lambda: _checked(call()), ServiceUnreachable, self._patience_s, self._retry_s)


class TooLarge(InputError):
    """The body of a request is over the service's limit."""


def _checked(answer: HttpAnswer) -> HttpAnswer:
    """Return ``answer`` if it is a success; else raise the error that it stands for."""
    if answer.status < 300:
        return answer
    try:
        problem = answer.json()
    except ServiceUnreachable:
        problem = None  # a proxy answered, for instance
    is_problem = isinstance(problem, dict)
    detail = str(problem.get("detail", "")) if is_problem else answer.body[:200].decode(errors="replace")
    if answer.status in (401, 409):
        raise Fenced(detail)
    if answer.status == 404:
        raise NotFound(detail)
    if answer.status == 413:
        raise TooLarge([Fault(code="too_large", message=detail, hint="raise FORECASTLE_MAX_BODY_BYTES of the service")])
    if is_problem and (answer.status == 422 or problem["code"] == "quota_exceeded"):
        faults = [Fault(**{name: fault[name] for name in ("code", "message", "hint")}) for fault in problem["errors"]]
        raise InputError(faults or [Fault(code="refused", message=detail, hint="see the log of the service")])
    if answer.status == 500 and b'"corrupt_bundle"' in answer.body:
        raise CorruptBundle(detail)
    raise ServiceError(f"the service answers {answer.status}: {detail}")
