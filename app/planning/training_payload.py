"""What a training job was asked to do, as its row keeps it: every field settled, nothing left to be guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from models.data.panel import Panel
from models.errors import Fault, InputError, excerpt
from models.evaluation.promotion import Policy
from models.network.spec import Spec, Training


class Wanted(NamedTuple):
    """One member of the forecaster to be made, and how it is taught."""

    spec: Spec
    training: Training

    def to_json(self) -> dict[str, Any]:
        """Both as JSON values."""
        return {"spec": self.spec.to_json(), "training": self.training.to_json()}


class WarmStart(NamedTuple):
    """The version whose weights training goes on from: as it was named, as it is for good, and its row."""

    name: str
    version: int
    version_id: int


class Auto(NamedTuple):
    """A search for the best spec within ``budget_s`` seconds; ``fixed``: the fields that it may not change.

    ``trials``: so many candidates; None: those that ``models.training.recipes`` names.
    """

    budget_s: float
    fixed: Mapping[str, Any]
    trials: int | None = None


class Group(NamedTuple):
    """The series whose static covariate ``column`` is ``value``; of ``unique_id`` the one series of that name."""

    column: str
    value: str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A training job's request.

    ``gate``: by what rule the version becomes champion, where ``promote`` is ``if_better``. ``baselines``: of Theta and
    ETS, those to be fitted beside it in the backtest; ``refit``: once scored, the members are taught again on all data;
    ``register``: what a search finds becomes a version; ``only``: of all series these.
    """

    members: tuple[Wanted, ...]
    promote: str = "if_better"
    gate: Policy = field(default_factory=Policy)
    warm_start: WarmStart | None = None
    auto: Auto | None = None
    baselines: tuple[str, ...] = ()
    refit: bool = True
    register: bool = True
    only: Group | None = None

    @property
    def first(self) -> Spec:
        """The spec of the first member: frequency, season and horizon are those of all."""
        return self.members[0].spec

    def only_of(self, panel: Panel) -> Panel:
        """The series of ``panel`` that are meant."""
        return panel if self.only is None else group_of(panel, self.only)

    def to_json(self) -> dict[str, Any]:
        """The order as the column ``jobs.request`` holds it."""
        first, *others = self.members
        values = {**first.to_json(), "promote": self.promote, "refit": self.refit}
        values |= {"gate": self.gate.to_json()} if self.gate != Policy() else {}
        values |= {"others": [member.to_json() for member in others]} if others else {}
        values |= {"warm_start": self.warm_start._asdict()} if self.warm_start else {}
        values |= {"auto": {k: v for k, v in self.auto._asdict().items() if v is not None}} if self.auto else {}
        values |= {"only": list(self.only)} if self.only else {}
        values |= {} if self.register else {"register": False}
        return values | ({"baselines": list(self.baselines)} if self.baselines else {})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Order":
        """The order that ``to_json`` described, or that an earlier release queued.

        Raises:
            SpecError: a field of a spec or a training that cannot work.
        """
        return cls(
            members=tuple(
                Wanted(Spec.from_json(each["spec"]), Training.from_json(each["training"]))
                for each in members_of(values)
            ),
            promote=values["promote"],
            gate=Policy.from_json(values.get("gate", {})),
            warm_start=WarmStart(**values["warm_start"]) if "warm_start" in values else None,
            auto=Auto(**values["auto"]) if "auto" in values else None,
            baselines=tuple(values.get("baselines", ())),
            refit=values.get("refit", True),
            register=values.get("register", True),
            only=Group(*values["only"]) if "only" in values else None,
        )


def members_of(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What ``Order.to_json`` says of each member, the first included: ``spec`` and ``training``."""
    return [values, *values.get("others", ())]


def group_of(panel: Panel, group: Group) -> Panel:
    """The series of ``panel`` that belong to ``group``.

    Raises:
        InputError: there are none.
    """
    if group.column == "unique_id":
        return panel.select([str(group.value)])
    texts = panel.categories.get(group.column)
    own = panel.latest(group.column).tolist()
    named = own if texts is None else [None if np.isnan(code) else texts[int(code)] for code in own]
    found = [name for name, value in zip(panel.ids, named, strict=True) if value == group.value]
    if not found:
        message = f"no series has {group.column} = {excerpt(group.value)}"
        raise InputError([Fault(code="unknown_group", field="by", message=message, hint="group the newest data anew")])
    return panel.select(found)
