"""Attempts as jobs of a Ray cluster, by Ray's Jobs REST API; this process needs no Ray package.

Ray places them and watches them. What it knows dies with its head, so nothing here relies on being told: what nobody
can say is Unknown, and then the lease decides. https://docs.ray.io/en/latest/cluster/running-applications/job-submission
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.problems import ServiceError
from app.settings import Settings
from app.store.tables import Job
from app.work.attempt_credentials import CLUSTER_TOKEN, credentials_for
from app.work.executors import Finished, Handle, Running, Status, Unknown
from app.work.http_client import HttpAnswer, HttpClient, ServiceUnreachable
from app.work.runner import ExitStatus

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

    ``order``: what is still to be submitted; ``state``: what was last said of it, at ``said_s``.
    """

    name: str
    order: dict[str, Any] | None
    state: Status = field(default_factory=Running)
    said_s: float = 0.0
    to_stop: bool = False


class RayExecutor:
    """Runs up to ``slots`` attempts at once on the cluster whose head is asked by ``head``.

    One thread does all the asking, so that a head that hangs holds nobody up; what it said more than ``stale_s``
    seconds ago says nothing any more. ``api_url``: where the cluster's machines reach the service. Closing it stops
    nothing: what runs is adopted by who comes after.
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
        self._lock = threading.Lock()  # over the table; of what it holds each field has one writer
        self._heard_s: float | None = None
        self._complained = False  # of this outage
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._tend, name="ray", daemon=True)
        self._thread.start()

    @property
    def outlives(self) -> bool:
        """Attempts are the cluster's own."""
        return True

    def start(self, job: Job, secret: str) -> Handle:
        """Have the attempt run; whether the cluster takes it shows later."""
        return self._add(ClusterRun(name_of(job), self._order(job, secret), said_s=time.monotonic()))

    def poll(self, handle: Handle) -> Status:
        """What was last heard of the attempt; Unknown where that is too long ago, or the cluster has forgotten it."""
        with self._lock:
            run = self._runs.get(handle)
            if run is None:
                return Unknown()
            if not isinstance(run.state, Running):
                return self._runs.pop(handle).state
        return Unknown() if time.monotonic() - run.said_s > self._stale_s else run.state

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Have Ray ask the process to end, and kill it where it does not: after a grace of Ray's own, of 3 s."""
        with self._lock:
            run = self._runs.get(handle)
        if run is not None and not run.to_stop:
            run.to_stop = True
            self._wake.set()

    def adopt(self, job: Job) -> Handle | None:
        """The attempt that a dispatcher before this one started, where the cluster still knows it."""
        if self._complained:
            return None  # to be told so again would take seconds each time, in which no lease is kept
        try:
            state = state_of(self._head.request("GET", f"/api/jobs/{name_of(job)}"))
        except ServiceUnreachable:
            return None
        if isinstance(state, Unknown):
            return None
        return self._add(ClusterRun(name_of(job), None, state, time.monotonic()))

    def free(self) -> int:
        """How many more it takes: none while the head does not answer."""
        heard_s = self._heard_s
        if heard_s is None or time.monotonic() - heard_s > self._stale_s:
            return 0
        with self._lock:
            return max(0, self._slots - len(self._runs))

    def close(self) -> None:
        """Ask no more."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _add(self, run: ClusterRun) -> Handle:
        with self._lock:
            self._runs.setdefault(run.name, run)
        self._wake.set()
        return run.name

    def _order(self, job: Job, secret: str) -> dict[str, Any]:
        credentials = credentials_for(self._api_url, job.id, job.token, secret)
        return {
            "submission_id": name_of(job),
            "entrypoint": ENTRYPOINT,
            "entrypoint_num_cpus": 1,
            "entrypoint_num_gpus": 1 if job.resource == "gpu" else 0,
            "runtime_env": {"env_vars": credentials.to_environment(self._token)},
            "metadata": {"job": job.id, "kind": job.kind, "model": job.model, "attempt": str(job.attempt)},
        }

    def _tend(self) -> None:
        while not self._closed:
            try:
                self._round()
                self._heard_s, self._complained = time.monotonic(), False
            except ServiceUnreachable as error:
                self._heard_s = None
                if not self._complained:
                    logger.error("the cluster does not answer", extra={"reason": str(error)})
                self._complained = True
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _round(self) -> None:
        """See to every attempt once. Raise Away."""
        _check(self._head.request("GET", "/api/version"))
        for run in self._current():
            state = self._see_to(run)
            run.state, run.said_s = state, time.monotonic()
            if isinstance(state, Unknown):
                with self._lock:
                    del self._runs[run.name]

    def _current(self) -> list[ClusterRun]:
        """The attempts that go on; an end that nobody asks for, the job having been lost, is forgotten."""
        forgotten_s = time.monotonic() - FORGET_S
        with self._lock:
            own = self._runs.items()
            self._runs = {name: run for name, run in own if isinstance(run.state, Running) or run.said_s > forgotten_s}
            return [run for run in self._runs.values() if isinstance(run.state, Running)]

    def _see_to(self, run: ClusterRun) -> Status:
        """Submit what is to be submitted, stop what is to be stopped, and ask how it goes. Raise Away."""
        if run.order is not None:
            if run.to_stop:
                return Finished(STOPPED)
            answer = self._head.send_json("POST", "/api/jobs/", run.order)
            if answer.status == 400:
                logger.error("the cluster refuses a job", extra={"run": run.name})
                return Finished(ExitStatus.TEMPORARY)
            if b"already exists" not in answer.body:  # it is there: the answer to an earlier try was lost
                _check(answer)
            run.order = None
        if run.to_stop:
            self._head.request("POST", f"/api/jobs/{run.name}/stop")
        return state_of(self._head.request("GET", f"/api/jobs/{run.name}"))


def on_cluster(settings: Settings, environment: Mapping[str, str]) -> RayExecutor:
    """The executor for the cluster that Ray's own variables name.

    Raises:
        ServiceError: something is not set; a cluster that needs no token, where anybody may run anything, is not used.
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
    """What the attempt of ``job`` is called on the cluster, which never takes the same name twice."""
    return f"{job.id}-{job.token}"


def state_of(answer: HttpAnswer) -> Status:
    """What Ray says of a job it was asked for. Raise Away where that says nothing."""
    if answer.status == 404:
        return Unknown()  # a head that was started anew has forgotten everything
    _check(answer)
    said = answer.json()
    status, code = said.get("status"), said.get("driver_exit_code")
    if status in ("PENDING", "RUNNING"):
        return Running()
    if status == "SUCCEEDED":
        return Finished(0)
    if status == "STOPPED":
        return Finished(STOPPED)
    # Without a code the process never ran, or the machine under it is gone: that is not the job's doing.
    return Finished(code if isinstance(code, int) and code else ExitStatus.TEMPORARY)


def _check(answer: HttpAnswer) -> None:
    """Raise Away where ``answer`` is not a good one."""
    if answer.status in (401, 403):
        raise ServiceUnreachable("the cluster refuses the token; RAY_AUTH_TOKEN must be the same here and there")
    if answer.status != 200:
        raise ServiceUnreachable(f"the cluster answers {answer.status}")
