"""Request and response bodies."""

from app.schemas.base import NAME, Answer, Body, Name, Page
from app.schemas.decisions import DecisionAnswer, GatePolicy, ReasonRequest
from app.schemas.forecasts import (
    DatasetRef,
    ForecastAnswer,
    ForecastRequest,
    Future,
    History,
    Interval,
    Series,
    SeriesForecast,
    Skill,
    VersionRef,
    WarningAnswer,
)
from app.schemas.kinds import (
    ArtifactAnswer,
)
from app.schemas.quality import BandAnswer, QualityAnswer, RealisedAnswer, ShadowAnswer
from app.schemas.resources import (
    AliasAnswer,
    AliasMoveAnswer,
    AttemptAnswer,
    Health,
    JobAnswer,
    MemberAnswer,
    ModelAnswer,
    MoveRequest,
    RevisionAnswer,
    VersionAnswer,
)
from app.schemas.schedules import FiringAnswer, ScheduleAnswer
from app.schemas.webhooks import DeliveryAnswer, NewWebhookAnswer, WebhookAnswer, WebhookRequest

__all__ = [
    "NAME",
    "AliasAnswer",
    "AliasMoveAnswer",
    "Answer",
    "ArtifactAnswer",
    "AttemptAnswer",
    "BandAnswer",
    "Body",
    "DatasetRef",
    "DecisionAnswer",
    "DeliveryAnswer",
    "FiringAnswer",
    "ForecastAnswer",
    "ForecastRequest",
    "Future",
    "GatePolicy",
    "Health",
    "History",
    "Interval",
    "JobAnswer",
    "MemberAnswer",
    "ModelAnswer",
    "MoveRequest",
    "Name",
    "NewWebhookAnswer",
    "Page",
    "QualityAnswer",
    "RealisedAnswer",
    "ReasonRequest",
    "RevisionAnswer",
    "ScheduleAnswer",
    "Series",
    "SeriesForecast",
    "ShadowAnswer",
    "Skill",
    "VersionAnswer",
    "VersionRef",
    "WarningAnswer",
    "WebhookAnswer",
    "WebhookRequest",
]
