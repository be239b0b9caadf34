"""Losses that training minimises, one for each of ``models.network.losses.LOSSES``; missing targets (NaN) do not count.

Importing this module imports Keras and its backend.
"""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops as K  # noqa: N812 - as Keras' own documents call it

from models.network.losses import DEGREES_OF_FREEDOM, MIN_SCALE
from models.network.spec import Spec

HUBER_DELTA = 1.0  # window units: quadratic for usual errors, linear for larger ones

# Maps targets (…, 1), the network's outputs (…, P) and quantile levels to the loss of each target (…,).
Formula = Callable[[Any, Any, Sequence[float]], Any]


def mse(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Squared error."""
    return K.square(actual[..., 0] - outputs[..., 0])


def mae(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Absolute error."""
    return K.abs(actual[..., 0] - outputs[..., 0])


def huber(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Huber (1964), "Robust Estimation of a Location Parameter"."""
    error = K.abs(actual[..., 0] - outputs[..., 0])
    near = K.minimum(error, HUBER_DELTA)
    return 0.5 * near * near + HUBER_DELTA * (error - near)


def pinball(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Twice the mean pinball loss over the levels, so that the median alone gives the absolute error."""
    below, level = actual - outputs, K.convert_to_tensor(list(levels), dtype="float32")
    return 2 * K.mean(K.maximum(level * below, (level - 1) * below), axis=-1)


def normal(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Negative log likelihood of a normal distribution, without its constant."""
    scale = K.softplus(outputs[..., 1]) + MIN_SCALE
    deviation = (actual[..., 0] - outputs[..., 0]) / scale
    return K.log(scale) + 0.5 * deviation * deviation


def student_t(actual: Any, outputs: Any, levels: Sequence[float]) -> Any:
    """Negative log likelihood of Student's t with ``DEGREES_OF_FREEDOM``, without its constant."""
    scale = K.softplus(outputs[..., 1]) + MIN_SCALE
    deviation = (actual[..., 0] - outputs[..., 0]) / scale
    return K.log(scale) + 0.5 * (DEGREES_OF_FREEDOM + 1) * K.log1p(deviation * deviation / DEGREES_OF_FREEDOM)


FORMULAS: dict[str, Formula] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "quantile": pinball,
    "normal": normal,
    "student_t": student_t,
}


def loss_of(spec: Spec) -> Callable[[Any, Any], Any]:
    """Return the mean of the spec's loss over the observed targets: (…, 1) and (…, P) -> a scalar."""
    formula = FORMULAS[spec.loss]

    def loss(actual: Any, outputs: Any) -> Any:
        observed = K.logical_not(K.isnan(actual))
        # Missing targets are replaced before the formula, because NaN times 0 is NaN.
        targets = K.where(observed, actual, 0.0)
        weight = K.cast(observed[..., 0], "float32")
        return K.sum(formula(targets, outputs, spec.quantiles) * weight) / K.maximum(K.sum(weight), 1.0)

    return loss
