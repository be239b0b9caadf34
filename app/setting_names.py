"""Environment variables that look like settings and are none."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from app.settings import FILE, PREFIX, Settings

# Read by others: the compose files, and the attempts on a Ray cluster.
OTHER_VARIABLES = frozenset(
    {"APIS", "WORKERS", "SCHEDULERS", "API_CPUS", "WORKER_CPUS", "SECRETS", "SITE", "TLS"}
    | {"HTTP_PORT", "HTTPS_PORT", "GPU_PORT", "ATTEMPT_URL", "ATTEMPT_MASKED"}
)
# Kubernetes sets these in every container beside a service of the name "forecastle".
_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_\w+")


def unknown_variables(names: Iterable[str]) -> Iterator[str]:
    """Yield a message for each environment variable ``FORECASTLE_*`` of ``names`` that nothing reads."""
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(names):
        rest = name.upper().removeprefix(PREFIX)
        if rest.removesuffix(FILE) in known:
            continue
        if not name.upper().startswith(PREFIX) or rest in OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(rest) is None:
            near = get_close_matches(rest, known, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists the settings; unset this one"
            yield f"{name}: no such setting; {hint}"
