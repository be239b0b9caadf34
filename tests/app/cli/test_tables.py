"""Tables with columns of any names on the command line."""

import pytest

from app.cli.commands.tables import table_options
from app.tables import TableOptions
from models.errors import InputError


def test_options_are_given_by_name() -> None:
    pairs = ["time=Datum", "target=north", "target=south", "day_first=true", "on_duplicate=sum"]
    expected = TableOptions(time="Datum", target=("north", "south"), day_first=True, on_duplicate="sum")
    assert table_options(pairs) == expected
    assert table_options([]) == TableOptions()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("time", "'time' is not NAME=VALUE"),
        ("tiem=Datum", "--table has no option 'tiem'; the options are id, time, target"),
        ("day_first=perhaps", "--table day_first: "),
        ("on_duplicate=max", "--table on_duplicate: "),
    ],
)
def test_an_option_that_cannot_be_is_refused(pair: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        table_options([pair])
    assert message in str(refused.value)
