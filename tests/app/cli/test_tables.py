"""Tables with columns of any names on the command line."""

import pytest

from app.cli.commands.tables import load_table, table_options
from app.cli.grammar import TableSource
from app.tables import TableOptions
from models.errors import InputError
from tests.app.cli.conftest import Home


def test_options_are_given_by_name() -> None:
    pairs = ["time=Datum", "target=north", "target=south", "day_first=true", "on_duplicate=sum"]
    expected = TableOptions(time="Datum", target=("north", "south"), day_first=True, on_duplicate="sum")
    assert table_options(pairs) == expected
    assert table_options([]) == TableOptions()


def test_a_remedy_is_given_as_an_option_of_the_command(home: Home) -> None:
    wide, counted = home.folder / "wide.csv", home.folder / "counted.csv"
    wide.write_text("day,north,south\n2026-01-01,1,2\n2026-01-02,3,4\n")
    counted.write_text("t,y\n1,4\n2,5\n")
    remedies = {wide: "give --table target=COLUMN with one of them", counted: "name one step, such as --freq D"}
    for file, remedy in remedies.items():
        with pytest.raises(InputError) as refused:
            load_table(home.database, 1, TableSource(str(file), None, []), None, 100)
        assert remedy in str(refused.value)


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
