"""Models, their versions and aliases."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.base import Answer, Body, Number, Reason
from app.schemas.reports import ScoresDocument
from app.schemas.specs import SpecDocument


class VersionAnswer(Answer):
    """One immutable version of a model: its spec, the data it was trained on, and its backtest."""

    model: str
    version: int
    origin: Literal["job", "import"] = Field(
        description="Trained here by the job ``job_id``, or imported as a bundle; the data of an imported version are "
        "unknown."
    )
    sha256: str
    size_bytes: int
    spec: SpecDocument
    scores: ScoresDocument
    skill: float | None
    dataset: str | None
    revision: int | None
    data_sha256: str | None
    job_id: str | None = Field(description="The job that trained the version, or that checked the imported bundle.")
    created_by: str
    created_at: datetime
    archived_at: datetime | None = Field(None, description="Out of use since then; null: in use.")
    archived_by: str | None = None
    deleted_at: datetime | None = Field(None, description="The bundle is gone since then.")
    deleted_by: str | None = None


class AliasAnswer(Answer):
    """A name that points at a version."""

    alias: str
    version: int
    moved_at: datetime


class AliasMoveAnswer(Answer):
    """One move of an alias."""

    alias: str
    from_version: int | None
    to_version: int | None = Field(description="Null: the alias was deleted.")
    reason: str
    moved_by: str
    moved_at: datetime


class MoveRequest(Body):
    """The version that an alias should point at."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 2, "reason": "approved by planning"}]})

    version: Number
    reason: Reason = "moved by request"


class ModelAnswer(Answer):
    """A model's name and the versions that its aliases point at."""

    model: str
    aliases: list[AliasAnswer]
    created_at: datetime
    archived_at: datetime | None = Field(None, description="Out of use since then; null: in use.")
    archived_by: str | None = None
