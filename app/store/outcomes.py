"""The end of a job that went well: version, alias, decision and the job's own end in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.store import jobs, registry
from app.store.db import now
from app.store.jobs import JobProgress
from app.store.tables import Decision, Job, Version
from app.store.tasks import Task
from models.network.spec import Spec
from models.training.report import VersionReport

Verdict = Literal["promoted", "kept", "pending"]
MOVED = "the alias moved while this version was trained; compare the two, then move it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the gate said of a version: ``verdict`` by ``policy`` on ``numbers``, and the ``reason`` for people.

    ``compared``: it holds only while the champion is the version of number ``champion`` (None: while there is none).
    """

    verdict: Verdict
    reason: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    compared: bool = False
    champion: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A forecaster to be registered as the next version of the job's model, and what the gate said of it."""

    bundle: bytes
    spec: Spec
    report: VersionReport
    skill: float | None
    data_sha256: str | None
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a job's work came to: JSON for its answer, and a version if it made one."""

    result: Mapping[str, Any] = field(default_factory=dict)
    version: Candidate | None = None


def settle(session: Session, task: Task, outcome: Outcome) -> None:
    """Make ``outcome`` true, and end the job: all is seen or nothing.

    Raises:
        Fenced: the job is not held under the task's token any more.
    """
    job = jobs.hold(session, task.id, task.token)
    version, result = None, dict(outcome.result)
    if outcome.version is not None:
        version, ruling = _register(session, job, outcome.version)
        facts = {"version": version.number, "skill": version.skill, "verdict": ruling.verdict, "reason": ruling.reason}
        result = facts | result
    job.result = result
    jobs.report(session, job.id, task.token, JobProgress(phase="done", share=1.0, eta_s=0.0).to_json())
    jobs.finish(session, job.id, task.token, None if version is None else version.id)


def _register(session: Session, job: Job, made: Candidate) -> tuple[Version, Ruling]:
    if job.model is None:
        raise ValueError(f"job {job.id} of the kind {job.kind!r} names no model, so it cannot register a version")
    registry.opened(session, job.tenant_id, job.model)  # from here on no alias of it moves
    now_champion = registry.champion(session, job.tenant_id, job.model)
    ruling = _still_true(made.ruling, None if now_champion is None else now_champion.number)
    promoted = ruling.verdict == "promoted"
    version = registry.add_version(
        session,
        job.tenant_id,
        registry.NewVersion(
            model=job.model,
            bundle=made.bundle,
            spec=made.spec,
            report=replace(made.report, promoted=promoted, promotion=ruling.reason),
            skill=made.skill,
            revision_id=job.revision_id,
            data_sha256=made.data_sha256,
            job_id=job.id,
            created_by=job.created_by,
            # A job that reads no stored data has trained nothing: its version came as a bundle.
            origin="import" if job.revision_id is None else "job",
        ),
    )
    session.add(
        Decision(
            tenant_id=job.tenant_id,
            model_id=version.model_id,
            version_id=version.id,
            schedule_id=job.schedule_id,
            verdict=ruling.verdict,
            reason=ruling.reason,
            policy=dict(ruling.policy),
            numbers=dict(ruling.numbers),
            decided_by=job.id,
            decided_at=now(session),
        )
    )
    if promoted:
        move = registry.Move(
            model=job.model, alias=registry.CHAMPION, number=version.number, reason=ruling.reason, moved_by=job.id
        )
        registry.move_alias(session, job.tenant_id, move)
    return version, ruling


def _still_true(ruling: Ruling, champion: int | None) -> Ruling:
    if ruling.compared and champion != ruling.champion:
        return Ruling(verdict="kept", reason=MOVED, policy=ruling.policy, numbers=ruling.numbers)
    return ruling
