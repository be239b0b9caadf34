"""Text that several commands print."""

import pytest

from app.cli.commands.console import format_skill


@pytest.mark.parametrize(
    ("skill", "text"),
    [(0.125, "12.5 %"), (-0.5, "-50.0 %"), (-0.0, "0.0 %"), (-1e-9, "0.0 %"), (1e-9, "0.0 %"), (None, "unknown")],
)
def test_a_skill_is_printed_in_percent_and_one_that_rounds_to_0_has_no_sign(skill: float | None, text: str) -> None:
    assert format_skill(skill) == text
