"""Who reports for an attempt from elsewhere: whoever has its secret, for as long as the attempt has its job."""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.tables import Job


@dataclass(frozen=True, slots=True)
class AttemptPrincipal:
    """The caller that a secret stands for: one attempt of one job, which may write for it and nothing else."""

    tenant_id: int
    job_id: str
    token: int

    @property
    def key_id(self) -> str:
        """The name under which it does things."""
        return self.job_id

    @property
    def scope(self) -> str:
        """It reports, so it writes."""
        return "write"


def holder(session: Session, job_id: str, token: int, secret: str) -> AttemptPrincipal | None:
    """The attempt that has the job and this secret; None where there is none such, for whatever reason."""
    mine = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    row = session.execute(select(Job.tenant_id, Job.runner_sha256).where(mine)).one_or_none()
    if row is None or row.runner_sha256 is None:
        return None
    same = hmac.compare_digest(digest_of(secret), row.runner_sha256)
    return AttemptPrincipal(row.tenant_id, job_id, token) if same else None


def digest_of(secret: str) -> str:
    """What is kept of a secret: it is long and random, so a plain hash tells nothing of it."""
    return sha256(secret.encode()).hexdigest()
