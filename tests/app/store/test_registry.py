from functools import partial

import pytest
from sqlalchemy import update

from app.problems import Conflict, CorruptBundle, NotFound
from app.store import alias_history, jobs, registry
from app.store.db import Database
from app.store.tables import Job, Revision, Version
from tests.app.store.conftest import at_once, new_job, new_version, point, register
from tests.fakes import report, spec_of


def test_a_version_is_registered_and_read_back(database: Database, acme: int, sales: Revision) -> None:
    made = register(database, sales, bundle=b"abc")
    with database.read() as session:
        found = registry.resolve(session, acme, "demand", 1, None)
        assert registry.version(session, acme, made.id) is found
        assert registry.bundle(session, acme, found.id) == b"abc"
    # SHA-256 of "abc" as in FIPS 180-2, appendix B.1.
    assert found.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (found.number, found.size_bytes, found.skill) == (1, 3, 0.25)
    assert (found.spec, found.scores) == (spec_of().to_json(), report().to_json())


def test_versions_are_numbered_for_each_model_and_listed_newest_first(
    database: Database, acme: int, sales: Revision
) -> None:
    for model in ("demand", "demand", "supply", "demand"):
        register(database, sales, model=model)
    with database.read() as session:
        assert [model.name for model in registry.list_models(session, acme, 0, 10)] == ["demand", "supply"]
        after = registry.get_model(session, acme, "demand").id
        assert [model.name for model in registry.list_models(session, acme, after, 10)] == ["supply"]
        first = registry.list_versions(session, acme, "demand", None, 2)
        rest = registry.list_versions(session, acme, "demand", first[-1].id, 2)
        assert [[found.number for found in page] for page in (first, rest)] == [[3, 2], [1]]
        assert [found.number for found in registry.list_versions(session, acme, "supply", None, 9)] == [1]


def test_versions_added_at_once_get_different_numbers(database: Database, acme: int, sales: Revision) -> None:
    with database.write() as session:
        queued = [jobs.enqueue(session, new_job(sales)) for _ in range(4)]

    def add(job: Job) -> int:
        with database.write() as session:
            return registry.add_version(session, acme, new_version(job)).number

    assert sorted(at_once([partial(add, job) for job in queued]), key=str) == [1, 2, 3, 4]


def test_a_job_registers_one_version_only(database: Database, acme: int, sales: Revision) -> None:
    with database.write() as session:
        job = jobs.enqueue(session, new_job(sales))
        registry.add_version(session, acme, new_version(job))
    with pytest.raises(Conflict, match="has registered version 1 already"), database.write() as session:
        registry.add_version(session, acme, new_version(job, model="another"))


def test_bytes_that_were_tampered_with_are_never_given_out(database: Database, acme: int, sales: Revision) -> None:
    version = register(database, sales, bundle=b"honest")
    with database.write() as session:
        session.execute(update(Version).values(bundle=b"forged"))
    with pytest.raises(CorruptBundle, match=r"version 1 \(id 1\) has the SHA-256"), database.read() as session:
        registry.bundle(session, acme, version.id)


def test_an_alias_moves_and_every_move_is_recorded(database: Database, acme: int, sales: Revision) -> None:
    for _ in range(3):
        register(database, sales)
    for move in (point(1, reason="first"), point(3), point(3, reason="again"), point(2, reason="rollback")):
        with database.write() as session:
            assert registry.move_alias(session, acme, move).version.number == move.number
    with database.read() as session:
        assert registry.resolve(session, acme, "demand", None, None).number == 2
        assert registry.resolve(session, acme, "demand", None, "champion").number == 2
        assert [(a.name, a.version.number) for a in registry.list_aliases(session, acme, "demand")] == [("champion", 2)]
        moves = alias_history.alias_moves(session, acme, "demand", "champion", None, 10)
        later = alias_history.alias_moves(session, acme, "demand", "champion", moves[0].id, 1)
    assert [(move.from_version, move.to_version, move.reason) for move in moves] == [
        (3, 2, "rollback"),
        (1, 3, "better"),
        (None, 1, "first"),
    ]
    assert [move.reason for move in later] == ["better"]


def test_an_alias_that_is_moved_at_once_has_a_history_without_gaps(
    database: Database, acme: int, sales: Revision
) -> None:
    for _ in range(4):
        register(database, sales)

    def move(number: int) -> None:
        with database.write() as session:
            registry.move_alias(session, acme, point(number))

    assert at_once([partial(move, number) for number in (1, 2, 3, 4)]) == [None] * 4
    with database.read() as session:
        newest_first = alias_history.alias_moves(session, acme, "demand", "champion", None, 10)
        champion = registry.resolve(session, acme, "demand", None, None).number
    moves = newest_first[::-1]
    assert [move.from_version for move in moves] == [None] + [move.to_version for move in moves[:-1]]
    assert moves[-1].to_version == champion


def test_what_is_not_there_is_answered_with_what_is(database: Database, acme: int, sales: Revision) -> None:
    register(database, sales)
    register(database, sales)
    with database.write() as session:
        with pytest.raises(NotFound, match="model 'demand' has no alias 'champion'; aliases: none"):
            registry.resolve(session, acme, "demand", None, None)
        registry.move_alias(session, acme, point(1))
        registry.move_alias(session, acme, point(2, alias="challenger"))
        with pytest.raises(NotFound, match="model 'demand' has no alias 'prod'; aliases: challenger, champion"):
            registry.resolve(session, acme, "demand", None, "prod")
        with pytest.raises(NotFound, match="model 'demand' has no version 9; its versions are 1 to 2"):
            registry.resolve(session, acme, "demand", 9, None)
        with pytest.raises(NotFound, match="no model 'x'; GET /v1/models lists them"):
            registry.resolve(session, acme, "x", None, None)
        with pytest.raises(NotFound, match="has no version 9"):
            registry.move_alias(session, acme, point(9))


def test_a_model_has_a_bounded_number_of_aliases(database: Database, acme: int, sales: Revision) -> None:
    register(database, sales)
    with database.write() as session:
        for number in range(50):
            registry.move_alias(session, acme, point(1, alias=f"a{number}"))
        with pytest.raises(Conflict, match="model 'demand' has 50 aliases, which is the limit"):
            registry.move_alias(session, acme, point(1, alias="a50"))
