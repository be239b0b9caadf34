"""Fields of a spec that each can be, but not together; each complaint names the field to change and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.errors import Fault

if TYPE_CHECKING:
    from models.network.spec import Spec  # which itself asks what contradicts it


def contradictions(spec: Spec) -> Iterator[Fault]:
    """What cannot work together in ``spec``, whose fields are each known to be possible."""
    yield from _division(spec)
    yield from _covariates(spec)
    yield from _measures(spec)
    if spec.context == 1:
        yield _fault("context", "a context of 1 has no unit", "give 2 or more, or 0 for series without history")
    if spec.encoder == "convlstm":
        yield from _convlstm(spec)
    if spec.carries:
        yield from _carried(spec)
    if spec.context == 0:
        yield from _cold_start(spec)
    if spec.attention and not (spec.decodes and spec.encoder != "convlstm"):
        hint = "turn it off, or use strategy decoder or parallel with encoder forward or bidirectional"
        yield _fault("attention", "there is no decoder, or no sequence, to attend", hint)
    if spec.strategy == "seasonal_naive" and (spec.loss != "mae" or spec.context == 0):
        yield _fault("strategy", "seasonal naive says one point for each step, from the past", "leave loss at mae")


def _measures(spec: Spec) -> Iterator[Fault]:
    if spec.scaling == "seasonal" and not 1 < spec.season <= spec.context:
        hint = "use another scaling, or a context of at least one season above 1"
        yield _fault("scaling", f"context {spec.context} holds no season of {spec.season} to subtract", hint)
    if spec.scaling == "seasonal" and spec.strategy == "seq2seq" and spec.horizon > spec.season:
        message = f"after each step the {spec.horizon} next would be measured from other seasons than ahead"
        yield _fault("scaling", message, f"use another scaling or strategy, or a horizon of at most {spec.season}")
    if spec.scaling == "panel" and spec.transform != "none":
        message = f"series that are not positive have no {spec.transform}, and no measure in common with the others"
        yield _fault("transform", message, "leave it out, or measure each window by itself, such as scaling level")


def _division(spec: Spec) -> Iterator[Fault]:
    if spec.context % spec.segment:
        whole = max(1, spec.context // spec.segment) * spec.segment
        message = f"segment {spec.segment} does not divide context {spec.context}"
        yield _fault("segment", message, f"use a context such as {whole}, or another segment")
    if spec.decodes and spec.horizon % spec.segment:
        whole = -(-spec.horizon // spec.segment) * spec.segment
        message = (
            f"segment {spec.segment} does not divide horizon {spec.horizon}, which {spec.strategy} says in segments"
        )
        yield _fault("segment", message, f"use horizon {whole}, another segment, or strategy direct")


def _covariates(spec: Spec) -> Iterator[Fault]:
    roles = [*spec.past_covariates, *spec.future_covariates, *spec.static_covariates]
    for name in sorted({name for name in roles if roles.count(name) > 1}):
        yield _fault("future_covariates", f"'{name}' is given in two roles", "give each covariate one role")


def _convlstm(spec: Spec) -> Iterator[Fault]:
    if spec.cell != "lstm":
        yield _fault("cell", f"there is no convolutional {spec.cell}", "use cell lstm with encoder convlstm")
    if spec.season < 2 or spec.context % spec.season:
        message = f"context {spec.context} is no number of whole seasons of {spec.season}"
        yield _fault("context", message, "a convlstm folds it by season: give a multiple of a season above 1")
    if spec.segment > 1:
        yield _fault("segment", "a convlstm reads a season at a time", "leave segment at 1")
    if spec.strategy == "seq2seq":
        yield _fault("strategy", "a convlstm has no state after each point", "use another strategy, such as direct")


def _carried(spec: Spec) -> Iterator[Fault]:
    if spec.encoder != "forward":
        message = f"the state of a {spec.encoder} encoder cannot go on"
        yield _fault("state", message, "use state sliding, or encoder forward")
    if spec.decodes or spec.strategy == "seasonal_naive":
        yield _fault("state", f"strategy {spec.strategy} starts anew", "use state sliding, or strategy iterative")
    if spec.segment > 1:
        yield _fault("segment", "a carried state goes on point by point", "leave segment at 1, or use state sliding")
    if spec.scaling == "seasonal":
        yield _fault("scaling", "a carried state keeps one level for all points", "use scaling level, or state sliding")


def _cold_start(spec: Spec) -> Iterator[Fault]:
    if spec.static_channels == 0:
        hint = "name static_covariates, or give a context of 2 or more"
        yield _fault("context", "a context of 0 leaves nothing to forecast by", hint)
    if spec.past_covariates:
        yield _fault("past_covariates", "a context of 0 reads no past", "leave them out, or give a context")
    if spec.strategy not in ("direct", "decoder", "parallel"):
        message = f"strategy {spec.strategy} goes by the past, and a context of 0 has none"
        yield _fault("strategy", message, "use direct, decoder or parallel")
    if spec.encoder != "forward" or spec.carries or spec.attention:
        yield _fault("encoder", "a context of 0 has nothing to encode", "leave encoder, state and attention alone")


def _fault(field: str, message: str, hint: str) -> Fault:
    return Fault(code="contradiction", field=field, message=message, hint=hint)
