"""Tables of the database. Rows of users have a ``tenant_id``; large bytes are loaded only by explicit queries."""

from app.store.tables.audit import AuditChain, AuditEvent
from app.store.tables.base import Base, Json, Owned
from app.store.tables.data import ApiKey, Dataset, Revision, Tenant
from app.store.tables.jobs import (
    Artifact,
    ArtifactPart,
    IdempotencyKey,
    Job,
    JobAttempt,
    JobCheckpoint,
    JobEvent,
    Resource,
    State,
)
from app.store.tables.quality import AdaptedIntervals, Realised, ServedForecast
from app.store.tables.quotas import Quota
from app.store.tables.registry import Alias, AliasMove, Model, Origin, Version
from app.store.tables.schedules import Decision, Delivery, Firing, Heartbeat, Schedule, Webhook
from app.store.tables.usage import UsageDay

__all__ = [
    "AdaptedIntervals",
    "Alias",
    "AliasMove",
    "ApiKey",
    "Artifact",
    "ArtifactPart",
    "AuditChain",
    "AuditEvent",
    "Base",
    "Dataset",
    "Decision",
    "Delivery",
    "Firing",
    "Heartbeat",
    "IdempotencyKey",
    "Job",
    "JobAttempt",
    "JobCheckpoint",
    "JobEvent",
    "Json",
    "Model",
    "Origin",
    "Owned",
    "Quota",
    "Realised",
    "Resource",
    "Revision",
    "Schedule",
    "ServedForecast",
    "State",
    "Tenant",
    "UsageDay",
    "Version",
    "Webhook",
]
