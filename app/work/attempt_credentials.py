"""The credentials of one attempt on a cluster, and the environment variables that carry them to its process.

The cluster keeps the environment of every job in its records and logs. So the attempt's secret is encrypted there with
AES-GCM, under a key made of the cluster's own token, which every machine of the cluster has: a reader of the log cannot
use the service. The attempt's URL is authenticated with it, so that neither can be exchanged alone.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CLUSTER_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - Ray's own name for it, the same on every machine of a cluster
URL, ENCRYPTED_SECRET = "FORECASTLE_ATTEMPT_URL", "FORECASTLE_ATTEMPT_MASKED"
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class AttemptCredentials:
    """The ``url`` below which the service answers for one attempt, and the ``secret`` that it asks for."""

    url: str
    secret: str

    def to_environment(self, cluster_token: str) -> dict[str, str]:
        """Return environment variables that reveal the secret only together with ``cluster_token``."""
        nonce = os.urandom(NONCE_BYTES)
        encrypted = _cipher(cluster_token).encrypt(nonce, self.secret.encode(), self.url.encode())
        return {URL: self.url, ENCRYPTED_SECRET: (nonce + encrypted).hex()}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "AttemptCredentials":
        """Read and decrypt the credentials that this process was started with.

        Raises:
            ValueError: a variable is missing, or they were encrypted with another cluster token.
        """
        missing = [name for name in (URL, ENCRYPTED_SECRET, CLUSTER_TOKEN) if not environment.get(name)]
        if missing:
            raise ValueError(f"{', '.join(missing)} not set; a cluster's job is started by 'forecastle worker'")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as in _cipher

        url, cipher = environment[URL], _cipher(environment[CLUSTER_TOKEN])
        try:
            data = bytes.fromhex(environment[ENCRYPTED_SECRET])
            secret = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], url.encode()).decode()
        except (InvalidTag, ValueError) as error:
            hint = f"give this machine the {CLUSTER_TOKEN} of the worker, and the same release"
            raise ValueError(f"{ENCRYPTED_SECRET} cannot be decrypted; {hint}") from error
        return cls(url, secret)


def credentials_for(api_url: str, job_id: str, token: int, secret: str) -> AttemptCredentials:
    """Return the credentials of the attempt ``token`` of a job; the cluster reaches the service at ``api_url``."""
    return AttemptCredentials(f"{api_url.rstrip('/')}/internal/v1/attempts/{job_id}/{token}", secret)


def _cipher(cluster_token: str) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 9 MB that only a cluster needs

    return AESGCM(hashlib.sha256(cluster_token.encode()).digest())
