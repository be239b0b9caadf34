"""The least-recently-used mapping: order of use, sizes, and the values it drops."""

import pytest

from app.serving.lru import LRU


def test_the_value_not_used_for_longest_is_dropped() -> None:
    lru: LRU[str, int] = LRU(2)
    assert lru.put("a", 1) == []
    assert lru.put("b", 2) == []
    assert lru.get("a") == 1
    assert lru.put("c", 3) == [2]
    assert (lru.get("b"), list(lru.items())) == (None, [("a", 1), ("c", 3)])


def test_sizes_are_added_up_as_values_come_and_go() -> None:
    lru: LRU[str, str] = LRU(10, len)
    lru.put("a", "four")
    lru.put("b", "three")
    assert lru.size == 9
    lru.put("a", "seven..")  # in place of the four, and together with the five of b too many
    assert (lru.size, list(lru.values())) == (7, ["seven.."])
    assert lru.pop("a") == "seven.."
    assert lru.pop("a") is None
    assert (lru.size, len(lru)) == (0, 0)


def test_a_value_larger_than_the_capacity_stays_alone() -> None:
    lru: LRU[str, str] = LRU(3, len)
    lru.put("a", "xy")
    assert lru.put("b", "large") == ["xy"]
    assert lru.put("c", "x") == ["large"]


def test_a_test_for_a_key_is_no_use_of_it() -> None:
    lru: LRU[str, int] = LRU(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert "a" in lru
    assert lru.put("c", 3) == [1]


def test_an_empty_mapping_has_no_oldest_value() -> None:
    with pytest.raises(KeyError):
        LRU[str, int](2).pop_oldest()
