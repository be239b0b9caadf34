"""Specs of forecasters and settings of their training, as answers show them."""

from typing import Annotated

from pydantic import Field

from app.schemas.base import Answer, DescribedBy, JsonObject


class SpecAnswer(Answer):
    """Everything that defines a forecaster; lengths are steps of ``freq``. Documents of earlier releases lack fields
    that were added later."""

    freq: str = Field(description="Frequency of the series, such as 'h', '15min', 'D' or 'MS'.")
    season: int = Field(description="Steps of the season that seasonal naive repeats.")
    context: int = Field(description="Past points that the network reads.")
    horizon: int = Field(description="Steps that the network is trained to forecast.")
    cell: str = Field("gru", description="Recurrent cell, such as 'gru' or 'lstm'.")
    encoder: str = Field("forward", description="Arrangement of the cells over the context.")
    strategy: str = Field("direct", description="Method by which the network forecasts several steps.")
    segment: int = Field(1, description="Points that the encoder reads at a time.")
    units: int = Field(64, description="Cells of each layer.")
    depth: int = Field(1, description="Recurrent layers.")
    dropout: float = Field(0.0, description="Share of inputs that training drops.")
    attention: bool = Field(False, description="Whether the decoder attends to the steps of the encoder.")
    state: str = Field(
        "sliding", description="'sliding': each forecast reads its window again; 'carried': the state is kept."
    )
    scaling: str = Field("level", description="Normalisation of a window, or of the whole panel with 'panel'.")
    transform: str = Field("none", description="Transformation of the values before they are scaled.")
    skip: bool = Field(True, description="Whether a learned gate adds naive forecasts to the network's output.")
    loss: str = Field("mae", description="Training loss.")
    quantiles: list[float] = Field(
        [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], description="Quantiles that a quantile loss trains."
    )
    past_covariates: list[str] = Field([], description="Covariates that are known up to the last value.")
    future_covariates: list[str] = Field([], description="Covariates that are known for the steps of the forecast too.")
    static_covariates: list[str] = Field([], description="Covariates that are constant for a series.")
    categories: list[tuple[str, list[str]]] = Field([], description="Values of each covariate that is text.")
    calendar: bool = Field(False, description="Whether the network reads positions in the day, week and year.")
    holidays: str = Field("", description="ISO code of the country whose holidays the network reads, or empty.")
    non_negative: bool = Field(
        False, description="Whether no value is below 0; forecasts are clipped. Left out, it follows from the data."
    )
    bounds: tuple[float | None, float | None] | None = Field(
        None, description="Lowest and highest value of the series, null for none; forecasts are clipped to them."
    )


class TrainingAnswer(Answer):
    """Everything that defines how a forecaster is trained: AdamW with a short warm-up and a cosine decay."""

    max_epochs: int = Field(20, description="Epochs of training at most.")
    steps_per_epoch: int = Field(100, description="Batches of an epoch.")
    batch_size: int = Field(128, description="Windows of a batch.")
    learning_rate: float = Field(2e-3, description="Highest learning rate.")
    weight_decay: float = Field(0.01, description="Weight decay of AdamW.")
    clip_norm: float = Field(1.0, description="Norm to which all gradients together are clipped.")
    clip_value: float = Field(
        0.0, description="Bound to which each number of the gradients is clipped instead of the norm; 0 = not."
    )
    patience: int = Field(
        0, description="Epochs without a better validation loss before training stops; 0 trains on all data."
    )
    carry: int = Field(1, description="Windows in a row over which the state is carried in training.")
    least_context: float = Field(0.5, description="Share of the context that a training window must hold.")
    seed: int = Field(0, description="Seed of weights and sampling.")


SpecDocument = Annotated[JsonObject, DescribedBy(SpecAnswer)]
TrainingDocument = Annotated[JsonObject, DescribedBy(TrainingAnswer)]
PartialSpec = Annotated[JsonObject, DescribedBy(SpecAnswer, partial=True)]  # of a request: those that it sets
PartialTraining = Annotated[JsonObject, DescribedBy(TrainingAnswer, partial=True)]
PartialMember = Annotated[JsonObject, DescribedBy(SpecAnswer, TrainingAnswer, partial=True)]


class MemberAnswer(Answer):
    """One member of a forecaster: its spec and its training settings."""

    spec: SpecDocument
    training: TrainingDocument
