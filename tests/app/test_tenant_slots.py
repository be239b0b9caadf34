"""Slots that all tenants share: one tenant holds at most its part, and a slot comes back whatever happens."""

from contextlib import ExitStack

import pytest

from app.problems import TooManyRequests
from app.tenant_slots import TenantSlots

ACME, RIVAL, THIRD = 1, 2, 3


def test_one_tenant_holds_no_more_than_its_part_and_others_have_the_rest() -> None:
    slots = TenantSlots(3, 2, "streams")
    with ExitStack() as stack:
        for tenant in (ACME, ACME):
            stack.enter_context(slots.hold(tenant))
        with pytest.raises(TooManyRequests, match="2 streams of yours are in progress; end one first"):
            stack.enter_context(slots.hold(ACME))
        stack.enter_context(slots.hold(RIVAL))
        with pytest.raises(TooManyRequests, match="3 streams are in progress; try again later"):
            stack.enter_context(slots.hold(THIRD))
        assert slots.used == 3
    assert slots.used == 0


def test_a_slot_is_free_again_after_an_error() -> None:
    slots = TenantSlots(1, 1, "streams")
    with pytest.raises(ValueError, match="broken"), slots.hold(ACME):
        raise ValueError("broken")
    with slots.hold(RIVAL):
        assert slots.used == 1
