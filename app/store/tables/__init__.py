"""The tables. Every row that belongs to a user has a ``tenant_id``; large bytes are never loaded unless asked for."""

from app.store.tables.base import Base, Json, Owned
from app.store.tables.data import ApiKey, Dataset, Revision, Scope, Tenant
from app.store.tables.jobs import (
    Artifact,
    ArtifactPart,
    Checkpoint,
    IdempotencyKey,
    Job,
    JobAttempt,
    JobEvent,
    Resource,
    State,
)
from app.store.tables.quality import AdaptedIntervals, Realised, ServedForecast
from app.store.tables.registry import Alias, AliasMove, Model, Version
from app.store.tables.schedules import Decision, Delivery, Firing, Pulse, Schedule, Webhook

__all__ = [
    "AdaptedIntervals",
    "Alias",
    "AliasMove",
    "ApiKey",
    "Artifact",
    "ArtifactPart",
    "Base",
    "Checkpoint",
    "Dataset",
    "Decision",
    "Delivery",
    "Firing",
    "IdempotencyKey",
    "Job",
    "JobAttempt",
    "JobEvent",
    "Json",
    "Model",
    "Owned",
    "Pulse",
    "Realised",
    "Resource",
    "Revision",
    "Schedule",
    "Scope",
    "ServedForecast",
    "State",
    "Tenant",
    "Version",
    "Webhook",
]
