"""HTTP client for one service: the head of a Ray cluster, or the API that a process on a cluster reports to."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

UNAVAILABLE = (502, 503, 504)  # from a service that is overloaded, or a proxy that cannot reach it


class ServiceUnreachable(Exception):
    """The service could not be reached, did not answer in time, or answered that it is unavailable."""

    @property
    def reason(self) -> str:
        """The address and the cause, for logs."""
        return str(self)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The status and the whole body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body read as JSON. Raise ServiceUnreachable where it is not JSON: a proxy answered instead."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ServiceUnreachable("the answer is not JSON") from error


class HttpClient:
    """Client of the service at ``url`` (http or https, with or without a path), with a bearer ``token``.

    It opens a connection for each request, so that any thread may use it and no connection outlives a restart of the
    service. It ignores proxies in the environment.
    """

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        """Raise ValueError for any other address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"got the address {url!r}; give one like http://host:8265")
        connections = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self.url = url.rstrip("/")
        self._connection, self._host, self._port = connections[parts.scheme], parts.hostname, parts.port
        self._path, self._timeout_s = parts.path.rstrip("/"), timeout_s
        self._token = token

    def request(
        self, method: str, path: str, body: bytes | None = None, media_type: str = "application/json"
    ) -> HttpAnswer:
        """Send ``method`` to ``path`` below the URL and return the answer. Raise ServiceUnreachable."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "*/*"}
        headers |= {} if body is None else {"Content-Type": media_type}
        connection = self._connection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, self._path + path, body, headers)
            response = connection.getresponse()
            answer = HttpAnswer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnreachable(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status in UNAVAILABLE:
            raise ServiceUnreachable(f"{self.url} answers {answer.status}: it is not available at the moment")
        return answer

    def send_json(self, method: str, path: str, values: Any) -> HttpAnswer:
        """Send ``values`` as JSON and return the answer. Raise ServiceUnreachable."""
        return self.request(method, path, json.dumps(values, allow_nan=False).encode())
