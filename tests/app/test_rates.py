"""Rates: token buckets of tenants and keys, with a clock that moves when told."""

from dataclasses import dataclass

import pytest

from app import rates
from app.problems import RateExceeded
from app.rates import ONE_REQUEST, Rate, RateLimiter, parse_rate, policies_of
from models.errors import InputError


@dataclass(frozen=True)
class Sender:
    """A key and its tenant."""

    tenant_id: int = 1
    key_id: str = "k1"
    scope: str = "write"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def limiter(**texts: str) -> tuple[RateLimiter, Clock]:
    clock = Clock()
    return RateLimiter(lambda _: policies_of(texts), clock), clock


def wait_s(limits: RateLimiter, sender: Sender, amounts: rates.Amounts = ONE_REQUEST) -> float:
    """Seconds until the limiter takes the amounts; 0 if it has taken them."""
    try:
        limits.take(sender, amounts)
    except RateExceeded as error:
        return error.wait_s
    return 0.0


def shown(limits: RateLimiter, sender: Sender) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in limits.headers(sender)}


def test_a_rate_is_a_number_by_a_unit_of_time() -> None:
    assert [parse_rate(text) for text in ("20/s", "600/min", "7/h", "1/d", "")] == [
        Rate(20, 1),
        Rate(600, 60),
        Rate(7, 3_600),
        Rate(1, 86_400),
        None,
    ]


@pytest.mark.parametrize("text", ["600", "0/s", "-1/s", "1.5/s", "600/m", "600 / min", "٣/s", "9" * 16 + "/s", "1/s\n"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="give a rate such as 600/min"):
        parse_rate(text)


def test_a_burst_may_take_a_whole_bucket_and_then_waits_for_one_at_a_time() -> None:
    limits, clock = limiter(tenant_requests="4/min")  # one in 15 s
    assert [wait_s(limits, Sender()) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(15)]
    clock.now_s += 14
    assert wait_s(limits, Sender()) == pytest.approx(1)
    clock.now_s += 1
    assert [wait_s(limits, Sender()) for _ in range(2)] == [0, pytest.approx(15)]
    clock.now_s += 3_600  # no more than a bucket is saved up
    assert [wait_s(limits, Sender()) > 0 for _ in range(5)] == [False] * 4 + [True]


def test_the_keys_of_a_tenant_share_its_rate_and_have_their_own_and_other_tenants_have_theirs() -> None:
    limits, _ = limiter(tenant_requests="3/s", key_requests="2/s")
    first, second, other = Sender(1, "k1"), Sender(1, "k2"), Sender(2, "k3")
    assert [wait_s(limits, first) for _ in range(3)] == [0, 0, pytest.approx(1 / 2)]
    assert [wait_s(limits, second) for _ in range(2)] == [0, pytest.approx(1 / 3)]
    assert [wait_s(limits, other) for _ in range(2)] == [0, 0]


def test_a_refused_request_takes_nothing_from_any_bucket() -> None:
    limits, _ = limiter(tenant_requests="9/s", key_requests="1/s")
    assert wait_s(limits, Sender()) == 0
    for _ in range(20):
        assert wait_s(limits, Sender()) == pytest.approx(1)
    assert shown(limits, Sender())["ratelimit"].startswith('"tenant-requests";r=8;')


def test_series_and_points_have_buckets_of_their_own() -> None:
    limits, clock = limiter(tenant_series="10/s", key_points="1000/min")
    assert wait_s(limits, Sender(), {"series": 10, "points": 600}) == 0
    assert wait_s(limits, Sender(), {"series": 1, "points": 1}) == pytest.approx(0.1)
    clock.now_s += 1
    assert wait_s(limits, Sender(), {"series": 1, "points": 600}) == pytest.approx(11)  # 183 are missing, 1000/60 each
    assert wait_s(limits, Sender()) == 0  # requests are not limited


def test_what_is_larger_than_a_bucket_is_refused_for_good() -> None:
    limits, _ = limiter(key_series="10/min")
    with pytest.raises(InputError) as caught:
        limits.take(Sender(), {"series": 11})
    assert caught.value.faults[0].code == "over_rate"
    assert caught.value.faults[0].message == "the forecast has 11 series, and this key may have 10 series in 60 s"
    assert wait_s(limits, Sender(), {"series": 10}) == 0


def test_the_headers_show_each_policy_what_is_left_of_it_and_when_it_is_full() -> None:
    limits, clock = limiter(tenant_requests="600/min", tenant_series="", key_points="100/s")
    limits.take(Sender(), {"requests": 30, "points": 50})
    assert shown(limits, Sender()) == {
        "ratelimit-policy": '"tenant-requests";q=600;w=60, "key-points";q=100;w=1;qu="points"',
        "ratelimit": '"tenant-requests";r=570;t=3, "key-points";r=50;t=1',
    }
    clock.now_s += 60
    assert shown(limits, Sender())["ratelimit"] == '"tenant-requests";r=600;t=0, "key-points";r=100;t=0'


def test_without_a_rate_nothing_is_refused_or_remembered_or_shown() -> None:
    limits, _ = limiter(tenant_requests="", key_points="")
    for _ in range(1_000):
        limits.take(Sender(), ONE_REQUEST)
    assert (limits.headers(Sender()), len(limits._full_at_s)) == ([], 0)


def test_the_memory_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_BUCKETS", 3)
    limits, _ = limiter(key_requests="1/s")
    for number in range(9):
        assert wait_s(limits, Sender(1, f"k{number}")) == 0
    assert len(limits._full_at_s) == 3
    assert wait_s(limits, Sender(1, "k8")) > 0
