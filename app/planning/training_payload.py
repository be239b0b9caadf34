"""Payload of the kinds of job that train: ``train``, ``retrain`` and ``tune``."""

from dataclasses import asdict, dataclass, field

from app.planning.groups import SeriesGroup
from app.planning.job_kind import JobDetails, PinnedVersion
from models.evaluation.promotion import Policy
from models.network.spec import Spec
from models.training.member_plan import MemberPlan
from models.types import JsonMapping, JsonObject

DEFAULT_GATE = Policy().to_json()


@dataclass(frozen=True, slots=True)
class AutoSearch:
    """A search for the best spec within ``budget_s`` seconds that does not change the fields ``fixed`` of the spec.

    ``trials`` is the number of candidates; None: those that ``models.training.recipes`` names.
    """

    budget_s: float
    fixed: JsonMapping
    trials: int | None = None

    def to_json(self) -> JsonObject:
        """Return the search as JSON values, without ``trials`` if it is None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPayload:
    """Plan of a training job.

    ``promote`` and ``gate``: the rule by which the version becomes champion. ``warm_start``: the version whose weights
    are the initial ones. ``baselines``: those of Theta and ETS that the backtest compares with. ``refit``: after the
    backtest the members are trained on all data. ``register``: the result of a search becomes a version. ``group``:
    the series to train on; None: all. ``force``: the version may replace a champion of another data set.
    """

    members: tuple[MemberPlan, ...]
    promote: str = "if_better"
    gate: Policy = field(default_factory=Policy)
    warm_start: PinnedVersion | None = None
    auto: AutoSearch | None = None
    baselines: tuple[str, ...] = ()
    refit: bool = True
    register: bool = True
    group: SeriesGroup | None = None
    force: bool = False

    @property
    def spec(self) -> Spec:
        """The spec of the first member; all members have its frequency, season and horizon."""
        return self.members[0].spec

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it; most fields with default values are left out."""
        first, *others = self.members
        values = {**first.to_json(), "promote": self.promote, "refit": self.refit}
        if self.gate != Policy():
            values["gate"] = self.gate.to_json()
        if others:
            values["others"] = [member.to_json() for member in others]
        if self.warm_start is not None:
            start = self.warm_start
            values["warm_start"] = {"name": start.name, "version": start.number, "version_id": start.id}
        if self.auto is not None:
            values["auto"] = self.auto.to_json()
        if self.group is not None:
            values["only"] = [self.group.column, self.group.value]
        if not self.register:
            values["register"] = False
        if self.force:
            values["force"] = True
        if self.baselines:
            values["baselines"] = list(self.baselines)
        return values

    @classmethod
    def from_json(cls, values: JsonMapping) -> "TrainPayload":
        """Return the payload that ``to_json`` described, also one that an earlier release stored.

        Raises:
            SpecError: a field of a spec or of training settings cannot work.
        """
        start = values.get("warm_start")
        return cls(
            members=tuple(map(MemberPlan.from_json, _members(values))),
            promote=values["promote"],
            gate=Policy.from_json(values.get("gate", {})),
            warm_start=PinnedVersion(start["name"], start["version"], start["version_id"]) if start else None,
            auto=AutoSearch(**values["auto"]) if "auto" in values else None,
            baselines=tuple(values.get("baselines", ())),
            refit=values.get("refit", True),
            register=values.get("register", True),
            group=SeriesGroup(*values["only"]) if "only" in values else None,
            force=values.get("force", False),
        )


def training_details(values: JsonMapping) -> JobDetails:
    """Return the details of a job that trains from its stored payload, which need not be valid any more."""
    if "spec" not in values:  # the parent of a job for each group: it trains nothing itself
        return JobDetails(order=values)
    return JobDetails(
        spec=values["spec"],
        training=values["training"],
        members=[{"spec": member["spec"], "training": member["training"]} for member in _members(values)],
        warm_start_from=values["warm_start"]["name"] if "warm_start" in values else None,
        auto=values.get("auto"),
        refit=values.get("refit", True),
        promote=values.get("promote"),
        gate=Policy.from_json(values["gate"]).to_json() if "gate" in values else DEFAULT_GATE,
    )


def _members(values: JsonMapping) -> list[JsonMapping]:
    """Return the JSON values of each member, the first included."""
    return [values, *values.get("others", ())]
