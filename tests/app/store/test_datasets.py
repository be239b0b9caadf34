from functools import partial

import pytest

from app.problems import Conflict, NotFound
from app.store import datasets
from app.store.db import Database
from app.store.tables import Revision
from tests.app.store.conftest import at_once, new_revision


def test_a_data_set_grows_by_revisions_that_never_change(database: Database, acme: int) -> None:
    with database.write() as session:
        datasets.create(session, acme, "sales", "D", new_revision(b"january", rows_total=31), "cli")
    with database.write() as session:
        datasets.append(session, acme, "sales", 1, new_revision(b"february", rows_total=59), "cli")
    with database.write() as session:
        datasets.append(session, acme, "sales", 2, new_revision(b"march", rows_total=90), "cli")
    with database.read() as session:
        sales = datasets.get(session, acme, "sales")
        assert [datasets.revision(session, acme, "sales", number).rows_total for number in (1, 2, 3)] == [31, 59, 90]
        assert datasets.revision(session, acme, "sales").number == 3
        assert datasets.chunks(session, acme, sales.id, 3) == [b"january", b"february", b"march"]
        assert datasets.chunks(session, acme, sales.id, 2) == [b"january", b"february"]


def test_a_revision_knows_its_data_set(database: Database, acme: int, sales: Revision) -> None:
    with database.read() as session:
        found = datasets.revision_by_id(session, acme, sales.id)
    assert (found.dataset.name, found.dataset.freq, found.number, found.created_by) == ("sales", "D", 1, "cli")
    assert (found.rows_added, found.series_total, found.first_ds, found.last_ds) == (3, 1, "2026-01-01", "2026-01-03")


def test_a_name_is_taken_once_by_each_tenant(database: Database, acme: int, rival: int, sales: Revision) -> None:
    with database.write() as session:
        datasets.create(session, rival, "sales", "D", new_revision(), "cli")
    with pytest.raises(Conflict) as caught, database.write() as session:
        datasets.create(session, acme, "sales", "D", new_revision(), "cli")
    assert str(caught.value) == "data set 'sales' exists already; append rows to it or choose another name"


def test_an_append_to_what_is_not_the_newest_revision_conflicts(database: Database, acme: int, sales: Revision) -> None:
    with database.write() as session:
        datasets.append(session, acme, "sales", 1, new_revision(b"mine"), "cli")
    with pytest.raises(Conflict) as caught, database.write() as session:
        datasets.append(session, acme, "sales", 1, new_revision(b"yours"), "cli")
    assert str(caught.value) == "data set 'sales' is at revision 2, not 1; read it again, then append"
    with database.read() as session:
        assert datasets.chunks(session, acme, sales.dataset_id, 9) == [b"rows 1 to 3", b"mine"]


def test_of_four_appends_at_once_one_wins(database: Database, acme: int, sales: Revision) -> None:
    def append(chunk: bytes) -> int:
        with database.write() as session:
            return datasets.append(session, acme, "sales", 1, new_revision(chunk), "cli").number

    results = at_once([partial(append, bytes([number])) for number in range(4)])
    assert results.count(2) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3


def test_of_four_creations_at_once_one_wins(database: Database, acme: int) -> None:
    def create() -> int:
        with database.write() as session:
            return datasets.create(session, acme, "sales", "D", new_revision(), "cli").number

    results = at_once([create] * 4)
    assert results.count(1) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3


def test_what_is_not_there_is_named(database: Database, acme: int, sales: Revision) -> None:
    with database.read() as session:
        with pytest.raises(NotFound, match="no data set 'costs'; GET /v1/datasets lists them"):
            datasets.get(session, acme, "costs")
        with pytest.raises(NotFound, match="data set 'sales' has no revision 7; the newest is 1"):
            datasets.revision(session, acme, "sales", 7)
        with pytest.raises(NotFound, match="no revision with the id 99"):
            datasets.revision_by_id(session, acme, 99)


def test_data_sets_are_listed_by_pages_with_their_newest_revisions(database: Database, acme: int) -> None:
    with database.write() as session:
        for name in ("a", "b", "c"):
            datasets.create(session, acme, name, "h", new_revision(), "cli")
        datasets.append(session, acme, "b", 1, new_revision(), "cli")
        first = datasets.list_page(session, acme, 0, 2)
        rest = datasets.list_page(session, acme, first[-1].id, 2)
        assert [found.name for found in first + rest] == ["a", "b", "c"]
        newest = datasets.newest(session, acme, [found.id for found in first])
        assert [newest[found.id].number for found in first] == [1, 2]
        assert datasets.newest(session, acme, []) == {}
