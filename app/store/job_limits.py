"""Limits of jobs: of the output and arithmetic of one job, and of the files and queued jobs of one tenant."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import QuotaExceeded
from app.store.tables import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """Limits of jobs; ``app.settings`` describes each and has the same defaults.

    Of one job: values in its file, 10^9 operations, bytes of one file. Of one tenant: bytes of all files, and queued
    jobs.
    """

    max_points: int = 50_000_000
    max_gflop: int = 100_000
    max_file_bytes: int = 1024**3
    max_stored_bytes: int = 10 * 1024**3
    max_queued: int = 10_000


DEFAULT_LIMITS = JobLimits()


def check_stored_bytes(session: Session, tenant_id: int, limits: JobLimits) -> None:
    """Refuse another file, or part of one, of a tenant whose files have reached their limit.

    Raises:
        QuotaExceeded: with the number of bytes stored.
    """
    stored = stored_bytes(session, tenant_id)
    if stored >= limits.max_stored_bytes:
        message = f"the files of your jobs have {stored} bytes, and {limits.max_stored_bytes} are allowed"
        hint = "delete some: DELETE /v1/jobs/{id}/artifacts/{name}; or raise FORECASTLE_MAX_STORED_ARTIFACT_BYTES"
        raise QuotaExceeded.of("artifacts_full", message, hint)


def stored_bytes(session: Session, tenant_id: int) -> int:
    """Return the bytes of all files of a tenant's jobs, unfinished ones included."""
    total = select(func.coalesce(func.sum(Artifact.size_bytes), 0)).where(Artifact.tenant_id == tenant_id)
    return int(session.scalars(total).one())
