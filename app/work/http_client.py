"""Requests to another service over HTTP: the head of a cluster, or the API that a runner elsewhere reports to."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

NOT_NOW = (502, 503, 504)  # said by a service that has no time, or by a proxy that cannot reach it


class ServiceUnreachable(Exception):
    """The service could not be reached, did not answer in time, or said that it cannot at the moment."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back; ``body`` whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body read as JSON. Raise Away where it is none: something between here and there answered instead."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ServiceUnreachable("the answer is not JSON") from error


class HttpClient:
    """One service, at ``url`` (http or https, with or without a path), asked in the name of a bearer ``token``.

    A connection for each request, so that any thread may ask and nothing is left open to a service that went away.
    Proxies in the environment are not used.
    """

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        """Raise ValueError for an address of another kind."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"got the address {url!r}; give one like http://host:8265")
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self.url = url.rstrip("/")
        self._kind, self._host, self._port = kinds[parts.scheme], parts.hostname, parts.port
        self._path, self._timeout_s = parts.path.rstrip("/"), timeout_s
        self._token = token

    def ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = "application/json"
    ) -> HttpAnswer:
        """What the service answers to ``method`` at ``path`` below the address. Raise Away."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "*/*"}
        headers |= {} if body is None else {"Content-Type": media_type}
        connection = self._kind(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, self._path + path, body, headers)
            response = connection.getresponse()
            answer = HttpAnswer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnreachable(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status in NOT_NOW:
            raise ServiceUnreachable(f"{self.url} answers {answer.status}: it is not available at the moment")
        return answer

    def say(self, method: str, path: str, values: Any) -> HttpAnswer:
        """``ask`` with ``values`` as JSON."""
        return self.ask(method, path, json.dumps(values, allow_nan=False).encode())
