"""Authentication of the process of an attempt on a cluster, by a secret that is valid while the attempt has its job."""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.principal import Scope
from app.store.tables import Job


@dataclass(frozen=True, slots=True)
class AttemptPrincipal:
    """The caller that a secret authenticates: one attempt of one job, which may read and report for that job only."""

    tenant_id: int
    job_id: str
    token: int

    @property
    def key_id(self) -> str:
        """The name of the caller in records: the job's id."""
        return self.job_id

    @property
    def scope(self) -> Scope:
        """The scope ``write``, which reports require."""
        return "write"

    @property
    def is_suspended(self) -> bool:
        """False: an attempt that runs when its tenant is suspended may finish."""
        return False


def find_attempt(session: Session, job_id: str, token: int, secret: str) -> AttemptPrincipal | None:
    """Return the attempt that has the job and this secret; None if there is none."""
    matches = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    row = session.execute(select(Job.tenant_id, Job.runner_sha256).where(matches)).one_or_none()
    if row is None or row.runner_sha256 is None:
        return None
    same = hmac.compare_digest(digest_of(secret), row.runner_sha256)
    return AttemptPrincipal(row.tenant_id, job_id, token) if same else None


def digest_of(secret: str) -> str:
    """Return the stored form of a secret, its SHA-256: the secret is long and random, so a plain hash is enough."""
    return sha256(secret.encode()).hexdigest()
