"""Rates: how many requests, series and points a tenant and each of its keys may use in a time.

Each rate is a token bucket in the memory of the process, kept as one number: the time at which it will be full again
(the generic cell rate algorithm). See docs/adr/0016-rates-in-memory.md.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Literal, NamedTuple, NoReturn

from app.principal import Principal
from app.problems import RateExceeded
from models.errors import InputError

WINDOWS_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
RATE = re.compile(r"([0-9]{1,15})/(s|min|h|d)")
MAX_BUCKETS = 20_000  # of all tenants and keys
ROUNDING = 1e-6

RATES = ("tenant_requests", "tenant_series", "tenant_points", "key_requests", "key_series", "key_points")
Unit = Literal["requests", "series", "points"]
Amounts = Mapping[Unit, int]
Bucket = tuple[str, int | str]  # policy, and tenant or key
Headers = list[tuple[bytes, bytes]]
ONE_REQUEST: Amounts = {"requests": 1}


class Rate(NamedTuple):
    """At most ``amount`` in ``window_s`` seconds, of which a burst may take all at once."""

    amount: int
    window_s: int


class RatePolicy(NamedTuple):
    """Rate of one ``unit`` for the whole tenant or for each of its keys; ``name`` as in the header RateLimit-Policy."""

    name: str
    unit: Unit
    is_per_key: bool
    rate: Rate
    one_s: float  # in which one comes back


class RatePolicies(NamedTuple):
    """Rates that count for one tenant, none if its use is not limited; ``header``: the value of RateLimit-Policy."""

    items: tuple[RatePolicy, ...]
    header: bytes


def parse_rate(text: str) -> Rate | None:
    """Return the rate in a text such as ``600/min``; None for an empty text, which is no limit. Raise ValueError."""
    if not text:
        return None
    match = RATE.fullmatch(text)
    if match is None or not int(match[1]):
        raise ValueError(f"got {text[:40]!r}; give a rate such as 600/min, by s, min, h or d, or '' for no limit")
    return Rate(int(match[1]), WINDOWS_S[match[2]])


def policies_of(rates: Mapping[str, str]) -> RatePolicies:
    """Return the policies in ``rates``, texts by the names in ``RATES``. Raise ValueError."""
    found = list[RatePolicy]()
    for name, text in rates.items():
        owner, _, unit = name.partition("_")
        rate = parse_rate(text)
        if rate is not None:
            one_s = rate.window_s / rate.amount
            found.append(RatePolicy(f"{owner}-{unit}", unit, owner == "key", rate, one_s))  # type: ignore[arg-type]
    return RatePolicies(tuple(found), ", ".join(map(_describe, found)).encode())


class RateLimiter:
    """Token buckets of all tenants and keys; safe to use from several threads.

    ``policies`` returns those of a tenant, none if its use is not limited.
    """

    def __init__(
        self,
        policies: Callable[[int], RatePolicies],
        clock: Callable[[], float] = time.monotonic,
        taken: Callable[[int, Amounts], None] = lambda tenant_id, amounts: None,
    ) -> None:
        self._policies, self._clock, self._taken = policies, clock, taken
        self._full_at_s: dict[Bucket, float] = {}
        self._lock = threading.Lock()

    def take(self, sender: Principal, amounts: Amounts) -> None:
        """Take ``amounts`` out of the buckets of the tenant and of the key: from all, or from none.

        Raises:
            RateExceeded: a bucket has less; with the seconds after which it has enough.
            InputError: an amount is larger than a bucket, so that no waiting helps.
        """
        if policies := self._policies(sender.tenant_id).items:
            self._take(policies, sender, amounts)
        self._taken(sender.tenant_id, amounts)

    def _take(self, policies: Sequence[RatePolicy], sender: Principal, amounts: Amounts) -> None:
        with self._lock:
            now_s, taken = self._clock(), dict[Bucket, float]()
            for policy in policies:
                name, unit, is_per_key, rate, one_s = policy  # unpacked, as this runs for every request
                if amount := amounts.get(unit):
                    bucket = (name, sender.key_id if is_per_key else sender.tenant_id)
                    full_at_s = max(self._full_at_s.get(bucket, 0.0), now_s) + amount * one_s
                    wait_s = full_at_s - now_s - rate.window_s
                    if wait_s > ROUNDING:
                        _refuse(policy, amount, wait_s)
                    taken[bucket] = full_at_s
            self._full_at_s.update(taken)
            if len(self._full_at_s) > MAX_BUCKETS:
                self._forget(now_s)

    def headers(self, sender: Principal) -> Headers:
        """Return the headers RateLimit-Policy and RateLimit of an answer; none without a limit.

        They follow draft-ietf-httpapi-ratelimit-headers-10: ``q`` is the size of a bucket and ``w`` the seconds in
        which it fills, ``r`` what is left in it and ``t`` the seconds until it is full.
        """
        policies = self._policies(sender.tenant_id)
        if not policies.items:
            return []
        now_s, items = self._clock(), list[str]()
        for name, _, is_per_key, rate, one_s in policies.items:
            full_at_s = self._full_at_s.get((name, sender.key_id if is_per_key else sender.tenant_id), 0.0)
            missing_s = full_at_s - now_s if full_at_s > now_s else 0.0
            left = int(rate.amount - missing_s / one_s + ROUNDING)
            items.append(f'"{name}";r={left};t={ceil(missing_s)}')
        return [(b"ratelimit-policy", policies.header), (b"ratelimit", ", ".join(items).encode())]

    def _forget(self, now_s: float) -> None:
        """Forget the buckets that are full; if all are in use, the one that was first used longest ago."""
        used = {bucket: full_at_s for bucket, full_at_s in self._full_at_s.items() if full_at_s > now_s}
        if len(used) > MAX_BUCKETS:
            del used[next(iter(used))]
        self._full_at_s = used


def _refuse(policy: RatePolicy, amount: int, wait_s: float) -> NoReturn:
    limit = f"{policy.rate.amount} {policy.unit} in {policy.rate.window_s} s"
    owner = "this key" if policy.is_per_key else "your tenant"
    if amount > policy.rate.amount:
        message = f"the forecast has {amount} {policy.unit}, and {owner} may have {limit}"
        raise InputError.of("over_rate", message, "ask for less at a time, or ask the operator for a higher rate")
    raise RateExceeded(f"{owner} may use {limit}; try again in {wait_s:.1f} s", wait_s)


def _describe(policy: RatePolicy) -> str:
    unit = "" if policy.unit == "requests" else f';qu="{policy.unit}"'  # requests are the default of the draft
    return f'"{policy.name}";q={policy.rate.amount};w={policy.rate.window_s}{unit}'
