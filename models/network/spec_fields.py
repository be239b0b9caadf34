"""SpecFields: the fields of a spec and the sizes that follow from the fields alone, not yet checked.

Encoders, strategies and constraints read a spec as this type. ``models.network.spec.Spec``, which can only be made with
fields that work together, knows the registries of the parts as well.
"""

from dataclasses import dataclass

from models.data.bounds import Bounds, Pair, merge_bounds
from models.data.calendar import parse_freq
from models.data.calendar_features import feature_names
from models.network.covariate_roles import ROLES
from models.network.fields import Fields

Categories = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFields(Fields):
    """The definition of a forecaster; lengths in steps of ``freq``.

    The network reads ``context`` (T) points, ``segment`` (S) of them at a time, and is trained to forecast ``horizon``
    (H) steps; it has ``depth`` layers of ``units`` (U) cells each. A context of 0 reads no past at all: it forecasts
    series by their static covariates.
    """

    freq: str
    season: int
    context: int
    horizon: int
    cell: str = "gru"
    encoder: str = "forward"
    strategy: str = "direct"
    segment: int = 1
    units: int = 64
    depth: int = 1
    dropout: float = 0.0
    attention: bool = False  # of the decoder, over the encoder's steps
    state: str = "sliding"  # a longer forecast reads its moved window again, or continues from the carried state
    scaling: str = "level"
    transform: str = "none"
    skip: bool = True  # a learned gate adds shares of the naive forecasts
    loss: str = "mae"
    quantiles: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    past_covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    static_covariates: tuple[str, ...] = ()
    categories: Categories = ()  # (covariate, its values) for each covariate that is text
    calendar: bool = (
        False  # features of the position in the day, the week and the year, as far as the frequency has them
    )
    holidays: str = ""  # ISO code of the country whose public holidays are a feature, or empty
    non_negative: bool = False  # no value is below 0, and no forecast
    bounds: Pair | None = None  # lowest and highest value of all series, None for none; forecasts are clipped to them

    def roles(self) -> dict[str, tuple[str, ...]]:
        """Return the covariates of each role, in the order of ``ROLES``."""
        return {role: getattr(self, role) for role in ROLES}

    @property
    def limits(self) -> Bounds:
        """The bounds of every forecast: those of ``bounds`` and, if ``non_negative``, at least 0."""
        return merge_bounds(self.non_negative, self.bounds)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The covariates of all roles."""
        return tuple(name for names in self.roles().values() for name in names)

    @property
    def varying_covariates(self) -> tuple[str, ...]:
        """The covariates that have a value for each point; those known ahead come last."""
        return tuple(name for role, names in self.roles().items() if ROLES[role].varies for name in names)

    @property
    def steps(self) -> int:
        """n, the steps of an encoder that reads a segment at a time."""
        return self.context // self.segment

    @property
    def carries(self) -> bool:
        """Whether the network's state is kept from one run to the next."""
        return self.state == "carried"

    @property
    def by_panel(self) -> bool:
        """Whether every window is normalised by the level and spread of the training panel instead of its own."""
        return self.scaling == "panel" or self.context == 0

    @property
    def lags(self) -> bool:
        """Whether the network reads the value one season before the next."""
        return 1 < self.season <= self.context

    @property
    def static_channels(self) -> int:
        """Channels of a whole series: one for a number, one for each category of a text."""
        return sum(self._count_channels(role) for role, kind in ROLES.items() if not kind.varies)

    @property
    def ahead_channels(self) -> int:
        """F, the channels known of a step ahead: covariates, calendar, holidays."""
        known = sum(self._count_channels(role) for role, kind in ROLES.items() if kind.varies and kind.known_ahead)
        calendar = len(feature_names(parse_freq(self.freq))) if self.calendar else 0
        return known + calendar + bool(self.holidays)

    @property
    def channels(self) -> int:
        """C, the channels of a point of the past: value, observed or not, lag; and covariates."""
        past = sum(self._count_channels(role) for role, kind in ROLES.items() if kind.varies and not kind.known_ahead)
        return 2 + self.lags + past + self.ahead_channels

    def _count_channels(self, role: str) -> int:
        names: tuple[str, ...] = getattr(self, role)
        if not names:
            return 0
        sizes = {name: len(values) for name, values in self.categories}
        return sum(sizes.get(name, 1) for name in names)
