"""Meaning and remedy of each code of an error answer, which its ``type`` leads to."""

from typing import NamedTuple


class ProblemPage(NamedTuple):
    """Meaning of an error code, and the remedy for the sender of the request."""

    meaning: str
    remedy: str


PROBLEM_PAGES: dict[str, ProblemPage] = {
    "bad_request": ProblemPage("The request breaks the rules of HTTP.", "Correct the request as `detail` says."),
    "invalid_json": ProblemPage("The body is not JSON.", "Correct the JSON at the character that `detail` names."),
    "incomplete_body": ProblemPage("The connection was closed before the body was complete.", "Send it again."),
    "unauthorized": ProblemPage(
        "There is no key, or it is unknown, expired or revoked.", "Send a valid key as `Authorization: Bearer KEY`."
    ),
    "forbidden": ProblemPage("The scope of the key does not cover this.", "Use a key of the scope that is named."),
    "tenant_suspended": ProblemPage("The tenant of the key is suspended.", "Ask the operator to resume it."),
    "quota_exceeded": ProblemPage(
        "The tenant has as much of something as it may have.", "Delete some, or ask the operator for a higher quota."
    ),
    "not_found": ProblemPage(
        "There is no such thing in the tenant of the key, or no such route.",
        "Check the name; the lists have all names.",
    ),
    "method_not_allowed": ProblemPage("The path has no such method.", "Use a method of the header `Allow`."),
    "not_acceptable": ProblemPage(
        "The answer has none of the media types of `Accept`.", "Accept one that /openapi.json lists."
    ),
    "conflict": ProblemPage(
        "The thing exists already, is in use, or its state forbids the request.", "Do first what the errors say."
    ),
    "body_too_large": ProblemPage("The body is over a limit.", "Send less, or in several requests."),
    "unsupported_media_type": ProblemPage(
        "The route does not read bodies of this Content-Type.", "Send one that `detail` names."
    ),
    "unknown_host": ProblemPage(
        "The header `Host` names another service.", "Use a name of the service, or have it added to the allowed hosts."
    ),
    "invalid_request": ProblemPage(
        "Fields or parameters do not have the right form.", "Correct each entry of `errors`."
    ),
    "invalid_input": ProblemPage("The data cannot be used.", "Correct each entry of `errors`: row, series or field."),
    "invalid_spec": ProblemPage("The specification of a model cannot work.", "Change the fields that `errors` names."),
    "head_too_large": ProblemPage(
        "The request has too many or too long headers.", "Send fewer headers, a shorter path."
    ),
    "too_slow": ProblemPage("The request was not complete in time.", "Send it again, without a pause."),
    "too_many_connections": ProblemPage(
        "As many connections are open as may.", "Close those that you do not use, and try again later."
    ),
    "too_many_requests": ProblemPage(
        "As many requests wait as may.", "Wait for `Retry-After` seconds, then repeat it."
    ),
    "rate_exceeded": ProblemPage(
        "The rate of the key or of its tenant is used up.", "Wait for `Retry-After` seconds, then repeat it."
    ),
    "queue_full": ProblemPage(
        "The tenant has as many queued jobs as it may have.", "Wait until some have ended, or cancel some."
    ),
    "internal": ProblemPage(
        "Something that nobody foresaw went wrong in the service.",
        "Report it with the `request_id`, which the log has.",
    ),
    "corrupt_bundle": ProblemPage(
        "The stored model is damaged, and is not served.", "Move its aliases to another version, or restore a backup."
    ),
    "model_broken": ProblemPage(
        "The model gave numbers that are not finite.", "Use another version; the operator finds the reason in the log."
    ),
    "unavailable": ProblemPage(
        "A part that the service needs does not answer now.", "Wait for `Retry-After` seconds, then repeat it."
    ),
    "deadline_passed": ProblemPage("There was no answer in time.", "Repeat it later, or ask for less at once."),
    "storage_full": ProblemPage("The disk of the service is full.", "The operator frees space; nothing was stored."),
}
