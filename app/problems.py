"""Service errors, and the table that maps each error to its HTTP answer (RFC 9457, problem+json)."""

from dataclasses import dataclass

from models.errors import BundleError, Fault, InputError, ModelBroken, SpecError


class ServiceError(Exception):
    """Error of the service that a user can understand and act on."""


class NotFound(ServiceError):
    """The resource does not exist for this tenant; the error is the same for a resource of another tenant."""


class Conflict(ServiceError):
    """The resource exists already, or its state forbids the request."""


class InUse(InputError):
    """Others use the resource, so it cannot be deleted; each fault names one of them and the remedy."""


class QuotaExceeded(InputError):
    """The tenant has as much of something as one tenant may have; each fault names the remedy."""


class QueueFull(QuotaExceeded):
    """The tenant has as many queued jobs as it may have; there is room again when some have ended."""


class Unauthorized(ServiceError):
    """No key, or a key that is unknown, expired or revoked."""


class Forbidden(ServiceError):
    """The key is good but its scope does not cover the request."""


class TenantSuspended(Forbidden):
    """The operator has suspended the tenant of the key."""


class BodyTooLarge(ServiceError):
    """The request's body is over the limit."""


class UnknownHost(ServiceError):
    """The request was sent to a name that the service does not have."""


class UnsupportedMedia(ServiceError):
    """The route does not read bodies of this Content-Type."""


class CorruptBundle(ServiceError):
    """The stored bytes of a version do not have the checksum that was registered."""


class Unavailable(ServiceError):
    """A part that the service needs is not available at the moment; trying again later may help.

    ``reason`` is for logs and the terminal: it may name hosts and files, so the API never shows it.
    """

    reason = ""


class StorageFull(Unavailable):
    """The disk has no room for the data of the request."""


class TooManyRequests(ServiceError):
    """More requests are waiting than the service accepts."""


class RateExceeded(TooManyRequests):
    """The tenant or the key has used up its rate; after ``wait_s`` seconds there is enough for the same request."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class DeadlinePassed(ServiceError):
    """The deadline of the request passed before there was an answer."""


class CallerGone(ServiceError):
    """The caller disconnected before its answer was ready."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """HTTP answer of an error: status, stable machine-readable code, and title for people."""

    status: int
    code: str
    title: str


# First match along the error's class hierarchy wins.
PROBLEM_TYPES: dict[type[Exception], ProblemType] = {
    NotFound: ProblemType(404, "not_found", "Not found"),
    Conflict: ProblemType(409, "conflict", "Conflict"),
    InUse: ProblemType(409, "conflict", "Conflict"),
    Unauthorized: ProblemType(401, "unauthorized", "A valid API key is required"),
    TenantSuspended: ProblemType(403, "tenant_suspended", "The tenant is suspended"),
    Forbidden: ProblemType(403, "forbidden", "The API key does not allow this"),
    BodyTooLarge: ProblemType(413, "body_too_large", "The body is too large"),
    UnsupportedMedia: ProblemType(415, "unsupported_media_type", "The body's type is not supported"),
    UnknownHost: ProblemType(421, "unknown_host", "The service does not have this name"),
    CorruptBundle: ProblemType(500, "corrupt_bundle", "The stored model is damaged"),
    QueueFull: ProblemType(429, "queue_full", "The tenant has as many queued jobs as it may have"),
    QuotaExceeded: ProblemType(403, "quota_exceeded", "The tenant has as much as it may have"),
    RateExceeded: ProblemType(429, "rate_exceeded", "The rate of requests or forecasts is used up"),
    TooManyRequests: ProblemType(429, "too_many_requests", "Too many requests are waiting"),
    DeadlinePassed: ProblemType(504, "deadline_passed", "There was no answer in time"),
    StorageFull: ProblemType(507, "storage_full", "The disk is full"),
    Unavailable: ProblemType(503, "unavailable", "Not available at the moment"),
    SpecError: ProblemType(422, "invalid_spec", "The specification cannot work"),
    InputError: ProblemType(422, "invalid_input", "The data cannot be used"),
    ModelBroken: ProblemType(500, "model_broken", "The model gave no usable numbers"),
    BundleError: ProblemType(500, "corrupt_bundle", "The stored model cannot be read"),
}


def problem_type(error: Exception) -> ProblemType | None:
    """Return the HTTP answer of ``error``; None if the table has no entry for its class or any base of it."""
    return next((PROBLEM_TYPES[cls] for cls in type(error).__mro__ if cls in PROBLEM_TYPES), None)


def faults_of(error: Exception) -> tuple[tuple[Fault, ...], int]:
    """Return the faults that ``error`` lists and their total number, which may be larger."""
    return (error.faults, error.total) if isinstance(error, InputError) else ((), 0)
