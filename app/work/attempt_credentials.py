"""What a process on a cluster must know to run one attempt of a job, and how it is told.

The secret of an attempt goes through the cluster's own records and logs, which keep the environment of every job. So it
is sent masked: XOR with a key stream that only who has the cluster's token can work out (HMAC-SHA256 of the attempt's
name, used once). Who reads a log learns nothing that opens the service.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

CLUSTER_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - Ray's own name for it, the same on every machine of a cluster
URL, MASKED = "FORECASTLE_ATTEMPT_URL", "FORECASTLE_ATTEMPT_MASKED"


@dataclass(frozen=True, slots=True)
class AttemptCredentials:
    """One attempt: the address below which the service answers for it, and the secret that opens that."""

    url: str
    secret: str

    def to_environment(self, cluster_token: str) -> dict[str, str]:
        """The errand as environment variables that give the secret to nobody without ``cluster_token``."""
        return {URL: self.url, MASKED: _mask(self.secret.encode(), self.url, cluster_token).hex()}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "AttemptCredentials":
        """The errand that this process was started for. Raise ValueError, naming the variable that is missing."""
        missing = [name for name in (URL, MASKED, CLUSTER_TOKEN) if not environment.get(name)]
        if missing:
            raise ValueError(f"{', '.join(missing)} not set; a cluster's job is started by 'forecastle worker'")
        url = environment[URL]
        masked = bytes.fromhex(environment[MASKED])
        return cls(url, _mask(masked, url, environment[CLUSTER_TOKEN]).decode())


def credentials_for(api_url: str, job_id: str, token: int, secret: str) -> AttemptCredentials:
    """The errand of the attempt ``token`` of a job; ``api_url`` is where the cluster reaches the service."""
    return AttemptCredentials(f"{api_url.rstrip('/')}/internal/v1/attempts/{job_id}/{token}", secret)


def _mask(data: bytes, name: str, key: str) -> bytes:
    """``data`` masked, or what is masked laid bare; at most 64 bytes."""
    stream = b"".join(hmac.digest(key.encode(), f"{name}#{part}".encode(), "sha256") for part in range(2))
    if len(data) > len(stream):
        raise ValueError(f"a secret of {len(data)} bytes; at most {len(stream)} can be masked")
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))
