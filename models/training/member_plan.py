"""Plan of one member: its spec, its training settings and its initial weights. Importing this imports no Keras."""

from dataclasses import dataclass, field

from models.network.spec import Spec, Training
from models.types import JsonMapping, JsonObject, Weights

SHARE_REFIT = 0.25  # of the epochs: the weights are close to optimal, only the newest points are new


def refit_epochs(epochs: int) -> int:
    """Return the epochs by which a training of ``epochs`` is continued on the newest points."""
    return max(1, round(SHARE_REFIT * epochs))


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """One member to train; ``initial_weights`` None: training begins with random weights, drawn from its seed."""

    spec: Spec
    training: Training
    initial_weights: Weights | None = field(default=None, compare=False)

    def to_json(self) -> JsonObject:
        """Return spec and training settings as JSON values; initial weights are left out."""
        return {"spec": self.spec.to_json(), "training": self.training.to_json()}

    @classmethod
    def from_json(cls, values: JsonMapping) -> "MemberPlan":
        """Return the plan that ``to_json`` described; other keys of ``values`` are ignored.

        Raises:
            SpecError: a field of the spec or of the training settings cannot work.
        """
        return cls(Spec.from_json(values["spec"]), Training.from_json(values["training"]))
