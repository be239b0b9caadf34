"""The caller of a request."""

from typing import Protocol


class Principal(Protocol):
    """Sender of a request: a tenant, by one of its keys; the scope ``write`` includes ``read``."""

    @property
    def tenant_id(self) -> int:
        """Return the id of the tenant that owns the key."""

    @property
    def key_id(self) -> str:
        """Return the public name of the key."""

    @property
    def scope(self) -> str:
        """Return the permission of the key: ``read`` or ``write``."""
