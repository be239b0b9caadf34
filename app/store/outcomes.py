"""Success of a job: its version, alias, decision and end become visible in one transaction."""

from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy.orm import Session

from app.store import jobs, registry
from app.store.db import now
from app.store.jobs import JobProgress
from app.store.tables import Decision, Job, Version
from app.store.tasks import Task
from models.json_types import JsonObject
from models.network.spec import Spec
from models.training.report import VersionReport

Verdict = Literal["promoted", "kept", "pending"]
ALIAS_MOVED = "the alias moved while this version was trained; compare the two, then move it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Verdict of the gate about a version, by ``policy`` on ``numbers``, with its ``reason`` in words.

    If ``compared``, it is valid only while the champion is the version number ``champion`` (None: while there is none).
    """

    verdict: Verdict
    reason: str
    policy: JsonObject = field(default_factory=dict)
    numbers: JsonObject = field(default_factory=dict)
    compared: bool = False
    champion: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Forecaster to register as the next version of the job's model, and the ruling about it."""

    bundle: bytes
    spec: Spec
    report: VersionReport
    skill: float | None
    data_sha256: str | None
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a job: JSON for its answer, and a version if it made one.

    ``ruling``: the verdict of a training job that made no version, which has its own otherwise.
    """

    result: JsonObject = field(default_factory=dict)
    version: Candidate | None = None
    ruling: Ruling | None = None


def finish_job(session: Session, task: Task, outcome: Outcome) -> None:
    """Store ``outcome`` and end the job, in the transaction of ``session``.

    Raises:
        Fenced: the job is no longer held under the task's token.
    """
    job = jobs.hold(session, task.id, task.token)
    version, result = None, dict(outcome.result)
    if outcome.version is not None:
        version, ruling = _register(session, job, outcome.version)
        facts = {"version": version.number, "skill": version.skill, "verdict": ruling.verdict, "reason": ruling.reason}
        result = facts | result
    elif outcome.ruling is not None and job.model is not None:
        model = registry.get_or_create_model(session, job.tenant_id, job.model)
        _record(session, job, model.id, None, outcome.ruling)
    job.result = result
    jobs.report(session, job.id, task.token, JobProgress(phase="done", share=1.0, eta_s=0.0).to_json())
    jobs.finish(session, job.id, task.token, None if version is None else version.id)


def _register(session: Session, job: Job, candidate: Candidate) -> tuple[Version, Ruling]:
    if job.model is None:
        raise ValueError(f"job {job.id} of the kind {job.kind!r} names no model, so it cannot register a version")
    registry.get_or_create_model(session, job.tenant_id, job.model)  # locked: no alias of it moves from here on
    champion = registry.champion(session, job.tenant_id, job.model)
    ruling = _recheck(candidate.ruling, None if champion is None else champion.number)
    promoted = ruling.verdict == "promoted"
    version = registry.add_version(
        session,
        job.tenant_id,
        registry.NewVersion(
            model=job.model,
            bundle=candidate.bundle,
            spec=candidate.spec,
            report=replace(candidate.report, promoted=promoted, promotion=ruling.reason),
            skill=candidate.skill,
            revision_id=job.revision_id,
            data_sha256=candidate.data_sha256,
            job_id=job.id,
            created_by=job.created_by,
            # A job that reads no stored data has trained nothing: its version came as a bundle.
            origin="import" if job.revision_id is None else "job",
        ),
    )
    _record(session, job, version.model_id, version.id, ruling)
    if promoted:
        move = registry.Move(
            model=job.model, alias=registry.CHAMPION, number=version.number, reason=ruling.reason, moved_by=job.id
        )
        registry.move_alias(session, job.tenant_id, move)
    return version, ruling


def _record(session: Session, job: Job, model_id: int, version_id: int | None, ruling: Ruling) -> None:
    """Store the decision of the gate about the version of ``job``, or about the job that trained none."""
    session.add(
        Decision(
            tenant_id=job.tenant_id,
            model_id=model_id,
            version_id=version_id,
            schedule_id=job.schedule_id,
            verdict=ruling.verdict,
            reason=ruling.reason,
            policy=dict(ruling.policy),
            numbers=dict(ruling.numbers),
            decided_by=job.id,
            decided_at=now(session),
        )
    )


def _recheck(ruling: Ruling, champion: int | None) -> Ruling:
    if ruling.compared and champion != ruling.champion:
        return Ruling(verdict="kept", reason=ALIAS_MOVED, policy=ruling.policy, numbers=ruling.numbers)
    return ruling
