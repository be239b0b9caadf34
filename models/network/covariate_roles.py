"""ROLES: name -> role of covariates. A new role is one entry here and one field of ``SpecFields``."""

from typing import NamedTuple


class Role(NamedTuple):
    """How the covariates of one role relate to time."""

    varies: bool  # one value for each point; otherwise one for the whole series
    known_ahead: bool  # known for the steps of the forecast too


# Field of a spec that lists covariates -> its role. Roles that are known ahead come after those that are not: this is
# the order of the network's channels.
ROLES = {
    "past_covariates": Role(varies=True, known_ahead=False),
    "future_covariates": Role(varies=True, known_ahead=True),
    "static_covariates": Role(varies=False, known_ahead=True),
}
