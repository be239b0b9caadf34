"""The minimal server: ASGI without a framework, msgspec and ONNX Runtime under uvicorn."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

from benchmarks.serving.peers.network import Network, network

Message = MutableMapping[str, Any]


class Asked(msgspec.Struct):
    """The body of a request."""

    y: list[list[float]]


def application(said: Network) -> Callable[..., Awaitable[None]]:
    """Return an ASGI application that answers every request with the forecasts of ``said``."""
    decode, encode = msgspec.json.Decoder(Asked).decode, msgspec.json.Encoder().encode

    async def answer(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        content = encode({"mean": said(decode(body).y)})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


if __name__ == "__main__":
    uvicorn.run(
        application(network(sys.argv[1])),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
