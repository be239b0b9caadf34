"""What enqueues jobs by itself, what it fired, who is told of it, and why an alias moved or did not."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned


class Schedule(Owned, Base):
    """When to enqueue the job ``request``: by ``cron`` in ``zone``, or when a trigger says so.

    ``gate`` is the policy that decides promotion; None leaves it to the request. ``due_at`` is the next due time (None:
    paused, or without a cron), ``next_at`` when somebody is to look at the schedule again, for that or for its
    triggers. ``rev`` rises with each change of the row: whoever read an older one changes nothing. ``watermark`` is
    what the triggers last fired on.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("misfire IN ('once', 'skip', 'all')", name="misfire"),
        CheckConstraint("overlap IN ('skip', 'queue')", name="overlap"),
        Index(None, "next_at"),
        # An id is never given again: jobs that were made of a due time are known by it.
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
    triggers: Mapped[dict[str, Any]]
    request: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any] | None] = mapped_column(Json)
    watermark: Mapped[dict[str, Any]]
    due_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    rev: Mapped[int]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class Firing(Base):
    """One due time of a schedule, or one time that a trigger said so: the job that was made of it, or why none was."""

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
    detail: Mapped[dict[str, Any]]
    job_id: Mapped[str | None]


class Heartbeat(Base):
    """When the processes of a kind last did what they are there for: the absence of which is an alarm."""

    __tablename__ = "pulses"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    at: Mapped[datetime]


class Decision(Owned, Base):
    """What the gate said of a version: promoted, kept, pending (a person must say), approved or rejected.

    ``numbers`` is what it was decided on, ``policy`` by which rule.
    """

    __tablename__ = "decisions"
    __table_args__ = (Index(None, "model_id", "id"), UniqueConstraint("version_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    schedule_id: Mapped[int | None]
    verdict: Mapped[str]
    reason: Mapped[str]
    policy: Mapped[dict[str, Any]]
    numbers: Mapped[dict[str, Any]]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]


class Webhook(Owned, Base):
    """An address that is told of ``events``; ``secret`` signs what is sent there.

    After a rotation ``previous_secret`` signs as well, until ``previous_until``. One that is disabled is told nothing,
    for the reason ``disabled``.
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
    """One message to one webhook, written in the transaction of what it tells of; sent until it is taken or too old.

    ``next_at``: not sent before then; while it is being sent, when another sender may try. ``attempt`` rises with each
    time that it is sent, and who sent it under a lower one changes nothing any more.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'taken', 'failed')", name="state"),
        Index(None, "state", "next_at"),
        UniqueConstraint("webhook_id", "message_id"),
        # An id is never given again: it pages the list.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    message_id: Mapped[str]
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str]
    attempt: Mapped[int]
    next_at: Mapped[datetime | None]
    detail: Mapped[str | None]
    created_at: Mapped[datetime]
