"""Redaction: secrets in a text that is going to be logged are replaced, whoever put them there."""

import re

HIDDEN = "***"
# What comes before a secret stays, such as the public id of a key; the secret itself is replaced.
_SECRETS = re.compile(
    r"(?P<key>\bf[ck]_[a-z0-9]{8}_)[A-Za-z0-9_-]{8,}"  # an API key
    r"|(?P<webhook>\bwhsec_)[A-Za-z0-9+/=_-]+"
    r"|(?P<url>://[^\s/:@]*:)[^\s/]+(?=@)"  # the password of an address
    r"|(?P<header>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"  # of an Authorization header
    r"|(?P<field>\b(?:password|passwd|pgpassword|secret|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` with each secret replaced by three asterisks."""
    return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}{HIDDEN}", text)
