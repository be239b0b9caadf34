"""Errors as problem+json (RFC 9457): bounded, and never with the whole input of the caller."""

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.edge.access import allowed_methods
from app.problems import (
    PROBLEM_TYPES,
    DeadlinePassed,
    ProblemType,
    QueueFull,
    RateExceeded,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    faults_of,
    problem_type,
)
from models.errors import MAX_FAULTS, Fault, ForecastError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Sizes after JSON escapes, so that 20 errors stay far below 64 KiB in any script.
DETAIL_BYTES = 1024
TEXT_BYTES = 256

INTERNAL = ProblemType(500, "internal", "Something went wrong inside the service")
INVALID = ProblemType(422, "invalid_request", "The request does not have the right form")
INVALID_JSON = ProblemType(400, "invalid_json", "The body is not JSON")
INCOMPLETE = ProblemType(400, "incomplete_body", "The body ended early")
# Errors that only the framework raises.
FRAMEWORK = {
    400: ProblemType(400, "bad_request", "The request cannot be understood"),
    406: ProblemType(406, "not_acceptable", "No answer that can be given is accepted"),
    405: ProblemType(405, "method_not_allowed", "This method is not allowed here"),
}
HINTS = {
    "missing": "add this field",
    "extra_forbidden": "remove this field, or check its spelling",
    "finite_number": "send a finite number; NaN and infinity are not JSON",
    "float_type": "send a number without quotes",
    "int_type": "send a whole number without quotes or decimals",
    "string_type": "send a string",
    "string_unicode": "send text without lone surrogates",
    "list_type": "send a list",
    "value_error": "change the fields that the message names",
}
RETRY_AFTER_S = 5
HEADERS: Mapping[type[Exception], Mapping[str, str]] = {
    Unauthorized: {"WWW-Authenticate": "Bearer"},
    Unavailable: {"Retry-After": str(RETRY_AFTER_S)},
    TooManyRequests: {"Retry-After": "1"},
    QueueFull: {"Retry-After": "60"},
    DeadlinePassed: {"Retry-After": "1"},  # the queue was long for a moment, as for a full one
}
DEFAULT_HINT = "see /openapi.json for what is accepted here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The content of one error answer."""

    kind: ProblemType
    detail: str
    errors: Sequence[Mapping[str, str | int]] = ()
    errors_total: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


class ProblemResponse(Response):
    """Answer to an error; ``code`` is the error's."""

    def __init__(self, problem: Problem, content: str) -> None:
        super().__init__(content, problem.kind.status, problem.headers, MEDIA_TYPE)
        self.code = problem.kind.code


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error as problem+json."""
    for cls in (ServiceError, ForecastError, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(cls, _answer)


def problem_response(error: Exception, request_id: str, instance: str) -> ProblemResponse:
    """Return the answer to ``error``; an unexpected one shows only the id of the request."""
    problem = problem_of(error)
    body = {
        "type": f"/problems/{problem.kind.code}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": _short(problem.detail, DETAIL_BYTES),
        "instance": _short(quote(instance, errors="replace")),
        "code": problem.kind.code,
        "request_id": request_id,
        "errors": problem.errors,
        "errors_total": problem.errors_total,
    }
    content = json.dumps(body, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return ProblemResponse(problem, content)


def problem_of(error: Exception) -> Problem:
    """Return the content of the answer to ``error``."""
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        kind = _kind_of_status(error.status_code)
        return Problem(kind=kind, detail=str(error.detail), headers=error.headers or {})
    if isinstance(error, ClientDisconnect):
        return Problem(kind=INCOMPLETE, detail="The connection was closed before the body was complete.")
    known = problem_type(error)
    if known is None:
        return Problem(kind=INTERNAL, detail="Quote the request_id when you report this.")
    return _of_known(error, known)


def log_fields(error: Exception, request_id: str) -> dict[str, str]:
    """Return the fields of a log line about ``error``: the id of the request, and the reason if the error has one."""
    reason = error.reason if isinstance(error, Unavailable) else ""
    return {"request_id": request_id} | ({"reason": reason} if reason else {})


async def _answer(request: Request, error: Exception) -> Response:
    """Handle an exception in FastAPI."""
    if isinstance(error, ForecastError) and problem_type(error) is None:
        raise error  # not the caller's fault: the guard logs it and answers 500
    if isinstance(error, HTTPException) and error.status_code == 405:
        # The framework names the methods of the first route of this path only.
        methods = allowed_methods(request.scope["path"])
        error.headers = {"Allow": ", ".join(methods)} if methods else error.headers
    request_id = request.scope.get("state", {}).get("request_id", "")
    response = problem_response(error, request_id, request.scope["path"])
    request.state.problem = response.code  # the guard counts it
    if problem_type(error) is not None and response.status_code >= 500:
        logger.error("%s: %s", type(error).__name__, error, extra=log_fields(error, request_id))
    if response.status_code < 500:
        drop_frames(error)
    return response


def drop_frames(error: BaseException | None) -> None:
    """Cut ``error`` and the errors behind it from their stack frames, for a caller that needs no traceback any more.

    A frame holds its variables, such as the body of the request, and often the error itself: a reference cycle, which
    would stay in memory until the next garbage collection.
    """
    while error is not None:
        error.__traceback__ = None
        behind = error.__cause__ or error.__context__
        error.__cause__ = error.__context__ = None
        error = behind


def _of_known(error: Exception, kind: ProblemType) -> Problem:
    faults, total = faults_of(error)
    more = f" (and {total - 1} more)" if total > 1 else ""
    return Problem(
        kind=kind,
        detail=f"{faults[0]}{more}" if faults else str(error) or kind.title,
        errors=[_of_fault(fault) for fault in faults[:MAX_FAULTS]],
        errors_total=total,
        headers=_headers_of(error),
    )


def _headers_of(error: Exception) -> Mapping[str, str]:
    if isinstance(error, RateExceeded):
        return {"Retry-After": str(math.ceil(error.wait_s))}
    return next((HEADERS[cls] for cls in type(error).__mro__ if cls in HEADERS), {})


def _of_fault(fault: Fault) -> dict[str, str | int]:
    places = {"unique_id": fault.unique_id, "row": fault.row, "field": fault.field}
    texts = {"code": fault.code, "message": fault.message, "hint": fault.hint}
    return {
        name: value if isinstance(value, int) else _short(value)
        for name, value in (places | texts).items()
        if value is not None
    }


def _of_validation(error: RequestValidationError) -> Problem:
    errors = error.errors()
    if errors and errors[0]["type"] == "json_invalid":
        place = errors[0]["loc"][-1]
        why = f"breaks off at character {place}" if isinstance(place, int) else f"cannot be read: {place}"
        return Problem(kind=INVALID_JSON, detail=f"The JSON {why}.")
    total = len(errors)
    return Problem(
        kind=INVALID,
        detail="One thing is wrong, see errors." if total == 1 else f"{total} things are wrong, see errors.",
        errors=[_of_pydantic(one, error.body) for one in islice(errors, MAX_FAULTS)],
        errors_total=total,
    )


def _of_pydantic(one: Mapping[str, Any], body: object) -> dict[str, str | int]:
    """Return type, place and message only: ``input`` and ``ctx`` repeat the request and may not be JSON."""
    source, *loc = one["loc"] or ("body",)
    if one["type"] == "unknown_kind":  # pydantic names the union, but it is this field that tells its bodies apart
        loc = [*loc, "kind"]
    if source == "body":
        place = {"pointer": _short("".join(_steps(loc, body, missing=one["type"] in {"missing", "unknown_kind"})))}
    else:
        place = {"field": _short(".".join(map(str, loc)) or str(source))}
    code = str(one["type"])
    message = _short(str(one["msg"]).removeprefix("Value error, "))  # pydantic's word for a rule of ours
    own = one.get("hint") or one.get("ctx", {}).get("hint")  # of a check of ours
    hint = _short(str(own or HINTS.get(code, DEFAULT_HINT)))
    return {**place, "code": _short(code), "message": message, "hint": hint}


def _steps(loc: Sequence[str | int], body: object, *, missing: bool) -> Iterator[str]:
    """Yield the steps of a JSON Pointer (RFC 6901) along ``loc``.

    Pydantic puts the names of union branches among the real steps; steps that the body lacks are left out, as the
    pointer would be invalid. Only the last step of a missing field is kept although the body lacks it.
    """
    here = body
    for number, step in enumerate(loc, start=1):
        exists = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if exists:
            here = here[step]  # type: ignore[index]  # a dict with this key or a list with this index, see above
        if exists or (missing and number == len(loc)) or not isinstance(body, dict | list):
            yield "/" + str(step).replace("~", "~0").replace("/", "~1")


def _kind_of_status(status: int) -> ProblemType:
    """Return the type of an HTTP status; an error of the framework looks like the service's own of the same status."""
    own = {kind.status: kind for kind in PROBLEM_TYPES.values() if kind.status not in {422, 500}}
    phrase = next((known.phrase for known in HTTPStatus if known == status), "Error")
    return (FRAMEWORK | own).get(status) or ProblemType(status, f"http_{status}", phrase)


def _short(text: str, size_bytes: int = TEXT_BYTES) -> str:
    """Return ``text`` cut so that its JSON takes at most about ``size_bytes``; lone surrogates are replaced."""
    sound = text[:size_bytes].encode("utf-8", "replace").decode("utf-8")
    while len(json.dumps(sound)) > size_bytes + 2:
        sound = sound[: len(sound) * 3 // 4]
    return sound if len(sound) == len(text) else sound + "…"
