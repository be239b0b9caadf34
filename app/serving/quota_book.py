"""Quotas of tenants in memory: the defaults of the settings, and the overrides in the database."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from app.problems import Unavailable
from app.rates import RatePolicies, policies_of

logger = logging.getLogger(__name__)

REFRESH_S = 1.0


class QuotaBook:
    """Rates of each tenant; ``read`` returns the overrides of every tenant that has any, by name, and may block.

    They are read again in the background, once in ``REFRESH_S`` seconds while somebody asks. Until the first answer of
    the database the defaults count. For one event loop.
    """

    def __init__(
        self,
        defaults: Mapping[str, str],
        read: Callable[[], Mapping[int, Mapping[str, str]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._defaults, self._read, self._clock = defaults, read, clock
        self._default_policies = policies_of(defaults)
        self._own: dict[int, RatePolicies] = {}
        self._next_s = clock()
        self._thread: threading.Thread | None = None

    def policies(self, tenant_id: int) -> RatePolicies:
        """Return the rates of a tenant. This never blocks."""
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + REFRESH_S
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self.refresh, name="quotas", daemon=True)
                self._thread.start()
        return self._own.get(tenant_id, self._default_policies)

    def refresh(self) -> None:
        """Read the overrides; if the database does not answer, the former ones stay."""
        try:
            overrides = self._read()
        except Unavailable as error:
            logger.warning("the quotas of tenants cannot be read: %s", error)
            return
        rates = {
            tenant_id: {name: texts.get(name, text) for name, text in self._defaults.items()}
            for tenant_id, texts in overrides.items()
        }
        self._own = {tenant_id: policies_of(own) for tenant_id, own in rates.items()}

    def close(self) -> None:
        """Wait for the query under way, so that none uses the database after it is closed."""
        if self._thread is not None:
            self._thread.join()
