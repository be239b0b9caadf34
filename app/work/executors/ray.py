"""Executor of attempts as jobs of a Ray cluster, by Ray's Jobs REST API; this process needs no Ray package.

Ray places the processes and watches them. A head that restarts has lost its records, so an attempt that the head does
not know is ``Unknown``, and its lease decides.
https://docs.ray.io/en/latest/cluster/running-applications/job-submission
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.problems import ServiceError
from app.settings import Settings
from app.store.tables import Job
from app.work.attempt_credentials import CLUSTER_TOKEN, credentials_for
from app.work.executors import Finished, Handle, Running, Status, Unknown
from app.work.http_client import HttpAnswer, HttpClient, ServiceUnreachable
from app.work.runner import ExitStatus
from models.types import JsonObject

logger = logging.getLogger(__name__)

ENTRYPOINT = "python -P -m app.work.ray_entry"
ADDRESS = "RAY_ADDRESS"  # Ray's own name for it
POLL_S = 1.0
TIMEOUT_S = 15.0  # the first job of a cluster takes seconds to be accepted
STALE_S = 10.0
FORGET_S = 60.0
STOPPED = -15


@dataclass(slots=True, eq=False)
class ClusterRun:
    """One attempt on the cluster, named by job and token, so that the same attempt is never run twice.

    ``submission``: the body of the request that submits it, None once the head has it. ``state``: the newest status
    that the head reported, at ``state_s``, monotonic.
    """

    name: str
    submission: JsonObject | None
    state: Status = field(default_factory=Running)
    state_s: float = 0.0
    to_stop: bool = False


class RayExecutor:
    """Runs up to ``slots`` attempts at once on the cluster of the head behind ``head``.

    One thread sends all requests, so that a head that hangs delays no lease; a status older than ``stale_s`` seconds
    counts as ``Unknown``. The cluster's machines reach the service at ``api_url``. ``close`` stops no attempt: the next
    dispatcher adopts them.
    """

    def __init__(
        self,
        head: HttpClient,
        cluster_token: str,
        api_url: str,
        slots: int,
        stale_s: float = STALE_S,
    ) -> None:
        self._head, self._token, self._api_url = head, cluster_token, api_url
        self._slots, self._stale_s = slots, stale_s
        self._runs: dict[Handle, ClusterRun] = {}
        self._lock = threading.Lock()  # over the dictionary; each field of a run has one writer
        self._answered_s: float | None = None  # when the head last answered; None in an outage
        self._is_out = False  # an outage was logged
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._poll_head, name="ray", daemon=True)
        self._thread.start()

    @property
    def outlives(self) -> bool:
        """True: the cluster keeps running them."""
        return True

    def start(self, job: Job, secret: str) -> Handle:
        """Queue the attempt for submission; ``poll`` reports whether the cluster has refused it."""
        return self._add(ClusterRun(name_of(job), self._submission(job, secret), state_s=time.monotonic()))

    def poll(self, handle: Handle) -> Status:
        """Return the newest status of the attempt; Unknown where it is too old, or the cluster has no record."""
        with self._lock:
            run = self._runs.get(handle)
            if run is None:
                return Unknown()
            if not isinstance(run.state, Running):
                return self._runs.pop(handle).state
        return Unknown() if time.monotonic() - run.state_s > self._stale_s else run.state

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Have Ray ask the process to end, and kill it 3 s later, which is Ray's own grace."""
        with self._lock:
            run = self._runs.get(handle)
        if run is not None and not run.to_stop:
            run.to_stop = True
            self._wake.set()

    def adopt(self, job: Job) -> Handle | None:
        """Return the attempt that an earlier dispatcher started, if the cluster still knows it."""
        if self._is_out:
            return None  # each request would take seconds to fail, and no lease is renewed meanwhile
        try:
            state = state_of(self._head.request("GET", f"/api/jobs/{name_of(job)}"))
        except ServiceUnreachable:
            return None
        if isinstance(state, Unknown):
            return None
        return self._add(ClusterRun(name_of(job), None, state, time.monotonic()))

    def free(self) -> int:
        """Return the number of free slots; 0 while the head does not answer."""
        answered_s = self._answered_s
        if answered_s is None or time.monotonic() - answered_s > self._stale_s:
            return 0
        with self._lock:
            return max(0, self._slots - len(self._runs))

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _add(self, run: ClusterRun) -> Handle:
        with self._lock:
            self._runs.setdefault(run.name, run)
        self._wake.set()
        return run.name

    def _submission(self, job: Job, secret: str) -> JsonObject:
        credentials = credentials_for(self._api_url, job.id, job.token, secret)
        facts = {"job": job.id, "kind": job.kind, "model": job.model, "attempt": str(job.attempt)}
        return {
            "submission_id": name_of(job),
            "entrypoint": ENTRYPOINT,
            "entrypoint_num_cpus": 1,
            "entrypoint_num_gpus": 1 if job.resource == "gpu" else 0,
            "runtime_env": {"env_vars": credentials.to_environment(self._token)},
            "metadata": {name: value for name, value in facts.items() if value is not None},  # Ray takes strings only
        }

    def _poll_head(self) -> None:
        while not self._closed:
            try:
                self._update_all()
                self._answered_s, self._is_out = time.monotonic(), False
            except ServiceUnreachable as error:
                self._answered_s = None
                if not self._is_out:
                    logger.error("the cluster does not answer", extra={"reason": str(error)})
                self._is_out = True
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _update_all(self) -> None:
        """Update every attempt once. Raise ServiceUnreachable."""
        _check(self._head.request("GET", "/api/version"))
        for run in self._current():
            state = self._update(run)
            run.state, run.state_s = state, time.monotonic()
            if isinstance(state, Unknown):
                with self._lock:
                    del self._runs[run.name]

    def _current(self) -> list[ClusterRun]:
        """Return the running attempts; forget an end that no dispatcher polls for, because the job was lost."""
        forgotten_s = time.monotonic() - FORGET_S
        with self._lock:
            own = self._runs.items()
            self._runs = {name: run for name, run in own if isinstance(run.state, Running) or run.state_s > forgotten_s}
            return [run for run in self._runs.values() if isinstance(run.state, Running)]

    def _update(self, run: ClusterRun) -> Status:
        """Submit or stop the attempt if that is due, and return its status. Raise ServiceUnreachable."""
        if run.submission is not None:
            if run.to_stop:
                return Finished(STOPPED)
            answer = self._head.send_json("POST", "/api/jobs/", run.submission)
            if answer.status == 400:
                logger.error("the cluster refuses a job", extra={"run": run.name})
                return Finished(ExitStatus.TEMPORARY)
            if b"already exists" not in answer.body:  # it was submitted, and the answer was lost
                _check(answer)
            run.submission = None
        if run.to_stop:
            self._head.request("POST", f"/api/jobs/{run.name}/stop")
        return state_of(self._head.request("GET", f"/api/jobs/{run.name}"))


def on_cluster(settings: Settings, environment: Mapping[str, str]) -> RayExecutor:
    """Return the executor for the cluster that Ray's own variables name.

    Raises:
        ServiceError: a variable is not set. A cluster without a token, where anybody may run anything, is refused.
    """
    names = {ADDRESS: "http://head:8265", CLUSTER_TOKEN: "the token that the cluster was started with"}
    missing = [f"{name} ({what})" for name, what in names.items() if not environment.get(name, "").strip()]
    missing += [] if settings.api_url else ["FORECASTLE_API_URL (where the cluster reaches the API)"]
    if missing or settings.api_url is None:
        raise ServiceError(f"FORECASTLE_EXECUTOR=ray needs {', '.join(missing)}; see deploy/ray/README.md")
    token = environment[CLUSTER_TOKEN].strip()
    try:
        head = HttpClient(environment[ADDRESS].strip(), token, TIMEOUT_S)
        HttpClient(settings.api_url, "", TIMEOUT_S)
    except ValueError as error:
        raise ServiceError(str(error)) from error
    return RayExecutor(head, token, settings.api_url, settings.worker_slots, settings.lease_s / 3)


def name_of(job: Job) -> str:
    """Return the name of the attempt on the cluster, which never accepts the same name twice."""
    return f"{job.id}-{job.token}"


def state_of(answer: HttpAnswer) -> Status:
    """Return the status that an answer of Ray gives for a job. Raise ServiceUnreachable where it gives none."""
    if answer.status == 404:
        return Unknown()  # a head that was restarted has no record of it
    _check(answer)
    record = answer.json()
    status, code = record.get("status"), record.get("driver_exit_code")
    if status in ("PENDING", "RUNNING"):
        return Running()
    if status == "SUCCEEDED":
        return Finished(0)
    if status == "STOPPED":
        return Finished(STOPPED)
    # Without a code the process never ran, or its machine is gone: not the job's fault.
    return Finished(code if isinstance(code, int) and code else ExitStatus.TEMPORARY)


def _check(answer: HttpAnswer) -> None:
    """Raise ServiceUnreachable unless ``answer`` is a success."""
    if answer.status in (401, 403):
        raise ServiceUnreachable("the cluster refuses the token; RAY_AUTH_TOKEN must be the same here and there")
    if answer.status != 200:
        raise ServiceUnreachable(f"the cluster answers {answer.status}")
