"""What training minimises, one formula for each of ``models.network.losses.LOSSES``; missing targets (NaN) count
nowhere.

Importing this module imports Keras and its backend.
"""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops as K  # noqa: N812 - as Keras' own documents call it

from models.network.losses import FREEDOM, MIN_SCALE
from models.network.spec import Spec

HUBER_DELTA = 1.0  # window units: squares for what is usual, absolute values for what is not

# Each takes the targets (…, 1) and the parameters (…, P), and gives the loss of each target (…,).
Formula = Callable[[Any, Any, Sequence[float]], Any]


def _mse(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    return K.square(actual[..., 0] - said[..., 0])


def _mae(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    return K.abs(actual[..., 0] - said[..., 0])


def _huber(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    """Huber (1964), "Robust Estimation of a Location Parameter"."""
    error = K.abs(actual[..., 0] - said[..., 0])
    near = K.minimum(error, HUBER_DELTA)
    return 0.5 * near * near + HUBER_DELTA * (error - near)


def _pinball(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    """Twice the mean pinball loss over the levels, so that the median's alone is the absolute error."""
    below, level = actual - said, K.convert_to_tensor(list(levels), dtype="float32")
    return 2 * K.mean(K.maximum(level * below, (level - 1) * below), axis=-1)


def _normal(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    """The negative log likelihood of a normal distribution, without its constant."""
    scale = K.softplus(said[..., 1]) + MIN_SCALE
    away = (actual[..., 0] - said[..., 0]) / scale
    return K.log(scale) + 0.5 * away * away


def _student_t(actual: Any, said: Any, levels: Sequence[float]) -> Any:
    """The negative log likelihood of Student's t with ``FREEDOM`` degrees of freedom, without its constant."""
    scale = K.softplus(said[..., 1]) + MIN_SCALE
    away = (actual[..., 0] - said[..., 0]) / scale
    return K.log(scale) + 0.5 * (FREEDOM + 1) * K.log1p(away * away / FREEDOM)


FORMULAS: dict[str, Formula] = {
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
    "quantile": _pinball,
    "normal": _normal,
    "student_t": _student_t,
}


def loss_of(spec: Spec) -> Callable[[Any, Any], Any]:
    """The mean of the spec's loss over the targets that are there: (…, 1) and (…, P) -> a scalar."""
    formula = FORMULAS[spec.loss]

    def loss(actual: Any, said: Any) -> Any:
        seen = K.logical_not(K.isnan(actual))
        # A target that is not there is put where it costs nothing before the formula: NaN times 0 is NaN.
        there = K.where(seen, actual, 0.0)
        weight = K.cast(seen[..., 0], "float32")
        return K.sum(formula(there, said, spec.quantiles) * weight) / K.maximum(K.sum(weight), 1.0)

    return loss
