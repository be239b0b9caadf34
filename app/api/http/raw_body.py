"""Body of a request as bytes: a dependency for routes whose body is a file."""

from typing import Annotated

from fastapi import Depends, Request


async def _read_body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_read_body)]
