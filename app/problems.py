"""Service errors, and the one table that says which HTTP answer each error becomes (RFC 9457, problem+json)."""

from dataclasses import dataclass

from models.errors import BundleError, Fault, InputError, ModelBroken, SpecError


class ServiceError(Exception):
    """An error of the service that a user can understand and act on."""


class NotFound(ServiceError):
    """The thing does not exist for this tenant; another tenant's thing reads exactly the same."""


class Conflict(ServiceError):
    """The thing exists already, or is in a state that forbids the request."""


class Unauthorized(ServiceError):
    """No key, or a key that is unknown, expired or revoked."""


class Forbidden(ServiceError):
    """The key is good but its scope does not cover the request."""


class BodyTooLarge(ServiceError):
    """The request's body is over the limit."""


class UnsupportedMedia(ServiceError):
    """The body's Content-Type is not one that this address reads."""


class CorruptBundle(ServiceError):
    """The stored bytes of a version do not have the checksum that was registered."""


class Unavailable(ServiceError):
    """Something the service needs is not there at the moment; trying again later may help."""


class TooManyRequests(ServiceError):
    """More is waiting than the service takes on."""


class DeadlinePassed(ServiceError):
    """The time that the request had was over before there was an answer."""


class CallerGone(ServiceError):
    """The caller has gone before its answer was ready, so nobody reads any."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The HTTP face of an error: status, stable machine-readable code, human title."""

    status: int
    code: str
    title: str


# First match along the error's class hierarchy wins.
KINDS: dict[type[Exception], Kind] = {
    NotFound: Kind(404, "not_found", "Not found"),
    Conflict: Kind(409, "conflict", "Conflict"),
    Unauthorized: Kind(401, "unauthorized", "A valid API key is required"),
    Forbidden: Kind(403, "forbidden", "The API key does not allow this"),
    BodyTooLarge: Kind(413, "body_too_large", "The body is too large"),
    UnsupportedMedia: Kind(415, "unsupported_media_type", "The body's type is not supported"),
    CorruptBundle: Kind(500, "corrupt_bundle", "The stored model is damaged"),
    TooManyRequests: Kind(429, "too_many_requests", "Too many requests are waiting"),
    DeadlinePassed: Kind(504, "deadline_passed", "There was no answer in time"),
    Unavailable: Kind(503, "unavailable", "Not available at the moment"),
    SpecError: Kind(422, "invalid_spec", "The specification cannot work"),
    InputError: Kind(422, "invalid_input", "The data cannot be used"),
    ModelBroken: Kind(500, "model_broken", "The model gave no usable numbers"),
    BundleError: Kind(500, "corrupt_bundle", "The stored model cannot be read"),
}


def kind_of(error: Exception) -> Kind | None:
    """The HTTP face of ``error``, or None where the table has no entry for it or any of its bases."""
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), None)


def faults_of(error: Exception) -> tuple[tuple[Fault, ...], int]:
    """The faults that ``error`` carries and how many there were in all."""
    return (error.faults, error.total) if isinstance(error, InputError) else ((), 0)
