"""The caller and the id of a request, and the scopes of callers."""

from contextvars import ContextVar
from typing import Literal, Protocol

Scope = Literal["forecast", "read", "write", "admin", "operator"]

# Each scope includes those before it: forecasts; reading; everything in the tenant but its keys; its keys; all tenants.
SCOPES: tuple[Scope, ...] = ("forecast", "read", "write", "admin", "operator")

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)  # of the request that is being served


class Principal(Protocol):
    """Sender of a request: a tenant, by one of its keys."""

    @property
    def tenant_id(self) -> int:
        """Return the id of the tenant that owns the key."""

    @property
    def key_id(self) -> str:
        """Return the public name of the key."""

    @property
    def scope(self) -> Scope:
        """Return the permission of the key."""

    @property
    def is_suspended(self) -> bool:
        """Return whether the tenant is suspended, so that its keys are refused."""


def includes(held: Scope, needed: Scope) -> bool:
    """Return whether a caller of the scope ``held`` may do what ``needed`` allows."""
    return SCOPES.index(held) >= SCOPES.index(needed)
