"""Schedules and their firings, decisions about versions, webhooks and their deliveries."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned
from models.json_types import JsonObject


class Schedule(Owned, Base):
    """Stored request that becomes a job by ``cron`` in ``zone``, or on a trigger.

    ``gate`` is the policy of promotion; NULL leaves it to the request. ``due_at`` is the next due time (NULL: paused,
    or without a cron expression), ``next_at`` the time of the next look, for a due time or for triggers. ``rev`` rises
    with each change of the row; a process that has read an older one changes nothing. ``watermark`` is the state on
    which triggers last fired.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("misfire IN ('once', 'skip', 'all')", name="misfire"),
        CheckConstraint("overlap IN ('skip', 'queue')", name="overlap"),
        Index(None, "next_at"),
        # Ids are never reused: the dedup of jobs contains them.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    cron: Mapped[str | None]
    zone: Mapped[str]
    misfire: Mapped[str]
    overlap: Mapped[str]
    grace_s: Mapped[float]
    jitter_s: Mapped[float]
    paused: Mapped[bool]
    triggers: Mapped[JsonObject]
    request: Mapped[JsonObject]
    gate: Mapped[JsonObject | None] = mapped_column(Json)
    watermark: Mapped[JsonObject]
    due_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    rev: Mapped[int]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class Firing(Base):
    """Due time or trigger of a schedule: its job, or the reason why it has none."""

    __tablename__ = "firings"
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        CheckConstraint("outcome IN ('fired', 'refused', 'skipped', 'missed', 'alarm')", name="outcome"),
        Index(None, "schedule_id", "id"),
        Index(None, "fired_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    due_at: Mapped[datetime]
    fired_at: Mapped[datetime]
    cause: Mapped[str]
    outcome: Mapped[str]
    detail: Mapped[JsonObject]
    job_id: Mapped[str | None]


class Heartbeat(Base):
    """Last work of the processes of a kind; health checks and metrics report when it is too old."""

    __tablename__ = "pulses"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    at: Mapped[datetime]


class Decision(Owned, Base):
    """Decision about a version: promoted, kept, pending (waits for a person), approved or rejected.

    ``numbers`` are its evidence, ``policy`` is its rule. ``version_id`` is NULL for a job that trained nothing, because
    its new rows differed from the past.
    """

    __tablename__ = "decisions"
    __table_args__ = (Index(None, "model_id", "id"), UniqueConstraint("version_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    schedule_id: Mapped[int | None]
    verdict: Mapped[str]
    reason: Mapped[str]
    policy: Mapped[JsonObject]
    numbers: Mapped[JsonObject]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]


class Webhook(Owned, Base):
    """Address that gets messages about ``events``, signed with ``secret``.

    After a rotation ``previous_secret`` signs too, until ``previous_until``. A webhook with a reason ``disabled`` gets
    no messages.
    """

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(Json)
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    disabled: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class Delivery(Base):
    """Message to one webhook, stored with the change that it announces; sent until it is accepted or too old.

    ``next_at``: earliest time of the next attempt; during an attempt, the time when another sender may retry.
    ``attempt`` rises with each attempt; the result of an older attempt is ignored.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'taken', 'failed')", name="state"),
        Index(None, "state", "next_at"),
        UniqueConstraint("webhook_id", "message_id"),
        # Ids are never reused: they page the list.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    message_id: Mapped[str]
    event: Mapped[str]
    payload: Mapped[JsonObject]
    state: Mapped[str]
    attempt: Mapped[int]
    next_at: Mapped[datetime | None]
    detail: Mapped[str | None]
    created_at: Mapped[datetime]
