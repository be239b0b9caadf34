"""Rules of imports, checked in the source: the rooms that each room may import, and the modules that none may."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("migrations/**/*.py")])
OURS = {"app", "models", "migrations"}

# Room of the library -> the rooms that it may import besides itself, ``types``, ``json_types`` and ``errors``.
MODEL_DOORS: dict[str, set[str]] = {
    "data": set(),
    "network": {"data"},
    "evaluation": {"data"},
    "engines": {"data", "network", "evaluation"},
    "forecasting": {"data", "network", "evaluation", "engines"},
    "training": {"data", "network", "evaluation", "engines", "forecasting"},
    "errors": set(),
}
GROUND = {
    "settings",
    "setting_names",
    "schemas",
    "problems",
    "problem_pages",
    "principal",
    "records",
    "telemetry",
    "formats",
    "tables",
    "addresses",
    "outbound",
    "oidc",
    "spreadsheets",
    "tenant_slots",
    "rates",
}
BELOW_ROUTES = {*GROUND, "tenant_export", "store", "serving", "planning", "forecasting", "models"}
# Room of app -> the rooms that it may import besides itself.
DOORS: dict[str, set[str]] = {
    "setting_names": {"settings"},
    "settings": {"addresses", "rates"},
    "addresses": {"models"},
    "outbound": {"addresses"},
    "oidc": {"addresses", "outbound", "principal", "problems", "models"},
    "schemas": {"principal"},
    "telemetry": set(),
    "problems": {"models"},
    "problem_pages": set(),
    "principal": set(),
    "rates": {"principal", "problems", "models"},
    "records": set(),
    "spreadsheets": set(),
    "formats": {"problems", "spreadsheets", "models"},
    "tables": {"problems", "formats", "models"},
    "tenant_slots": {"problems"},
    "store": {"problems", "principal", "records", "rates", "tenant_slots", "models", "migrations"},
    "serving": {"settings", "telemetry", "problems", "rates", "records", "models"},
    "planning": {*GROUND, "store", "models"},
    "forecasting": {*GROUND, "store", "serving", "models"},
    "service": {*GROUND, "store", "serving", "forecasting", "models"},
    "tenant_export": {"formats", "store"},
    "edge": {"principal", "problems", "rates", "telemetry", "models"},
    "work": {*GROUND, "store", "planning", "models"},
    "api": {*BELOW_ROUTES, "service", "edge"},
    "main": {*BELOW_ROUTES, "service", "edge", "api"},
    "cli": {*BELOW_ROUTES, "service", "edge", "work", "main"},
    "__main__": {"cli"},
    "migrations": {"store"},
}
# First-party imports inside a function: each keeps TensorFlow out of a process that does not train.
INSIDE = {("app/serving/model_cache.py", "models.engines.keras")}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml", "torch", "importlib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "load_model", "read_pickle"}
FORBIDDEN_ARGUMENTS = {("allow_pickle", True), ("safe_mode", False)}
# importlib.metadata reads release numbers; importlib loads a command or the function of a job kind, by a name of the
# source; joblib sends what one job says to its own processes, on the machines of a cluster that nobody reaches without
# its token.
HARMLESS = {
    ("app/main.py", "importlib.metadata"),
    ("app/service.py", "importlib.metadata"),
    ("app/telemetry/tracing.py", "importlib.metadata"),
    ("app/tenant_export.py", "importlib.metadata"),
    ("app/store/backups/dump.py", "importlib.metadata"),
    ("app/work/training_run.py", "importlib.metadata"),
    ("app/cli/grammar.py", "importlib"),
    ("app/work/job_functions.py", "importlib"),
    ("app/work/ray_parallel.py", "joblib"),
}


class Import(NamedTuple):
    """One module that a file imports; ``inside``: in a function."""

    file: str
    module: str
    inside: bool


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file; ``from a import b`` counts as ``a.b`` where that is a module."""
    parsed = tree(file)
    functions = [node for node in ast.walk(parsed) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from (Import(name_of(file), alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (ROOT / whole.replace(".", "/")).with_suffix(".py").exists() or node.module in OURS
                yield Import(name_of(file), whole if is_module else str(node.module), id(node) in inside)


ALL = [found for file in FILES for found in imports(file)]


def room(module: str) -> str:
    """``app.store.db`` is in the room ``store``, everything of models in ``models``."""
    parts = module.split(".")
    return parts[1] if parts[0] == "app" and len(parts) > 1 else parts[0]


def module_of(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")


def of(folder: str) -> list[Import]:
    return [found for found in ALL if found.file.startswith(folder)]


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 50
    assert len(ALL) > 300


def test_the_library_knows_nothing_of_the_service_the_environment_or_the_clock() -> None:
    unknown = {"app", "migrations", "os", "time", "fastapi", "sqlalchemy", "starlette", "pydantic", "socket"}
    assert [found for found in of("models/") if found.module.split(".")[0] in unknown] == []
    words = {"environ", "getenv", "now", "utcnow", "today", "monotonic", "perf_counter"}
    for file in ROOT.glob("models/**/*.py"):
        used = {node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)}
        assert used & words == set(), file


def floor_rooms() -> list[tuple[str, set[str], list[Import]]]:
    """Every room with the rooms that it may import and its first-party imports."""
    library = [(f"models/{name}", doors | {"types", "json_types", "errors"}) for name, doors in MODEL_DOORS.items()]
    service = [(name if name == "migrations" else f"app/{name}", doors) for name, doors in DOORS.items()]
    return [
        (place, doors, [found for found in ALL if found.file.startswith((f"{place}/", f"{place}.py"))])
        for place, doors in (*library, *service)
    ]


@pytest.mark.parametrize(
    ("place", "doors", "own"), floor_rooms(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_room_uses_its_doors_only(place: str, doors: set[str], own: list[Import]) -> None:
    assert (ROOT / place).is_dir() or (ROOT / f"{place}.py").exists()
    parts = 1 if place.startswith("models/") else 0
    first_party = [found for found in own if found.module.split(".")[0] in OURS]
    allowed = {*doors, place.rsplit("/", maxsplit=1)[-1]}
    if parts:
        assert [found for found in first_party if found.module.split(".")[1] not in allowed] == []
    else:
        assert [found for found in first_party if room(found.module) not in allowed] == []


def test_every_room_is_listed() -> None:
    def rooms(folder: str) -> set[str]:
        inside = (ROOT / folder).iterdir()
        return {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}

    assert rooms("app") | {"migrations"} == set(DOORS)
    assert rooms("models") - {"types", "json_types"} == set(MODEL_DOORS)


def test_files_import_each_other_in_no_circle() -> None:
    names = {module_of(name_of(file)).removesuffix(".__init__") for file in FILES}
    arrows = {name: set[str]() for name in names}
    for found in ALL:
        if found.module in names and not found.file.startswith("migrations/"):
            arrows[module_of(found.file).removesuffix(".__init__")].add(found.module)
    # Modules that import nothing of the rest, or that nothing of the rest imports, are in no circle.
    while outer := {
        n for n, to in arrows.items() if not to & arrows.keys() or not any(n in t for t in arrows.values())
    }:
        arrows = {name: targets for name, targets in arrows.items() if name not in outer}
    assert set(arrows) == set()


def test_only_the_store_writes_sql() -> None:
    for found in ALL:
        if found.module.startswith("sqlalchemy") and found.file.startswith("app/") and "/store/" not in found.file:
            assert found.module in {"sqlalchemy.orm", "sqlalchemy.exc"}, found
    for file in ROOT.glob("app/api/*.py"):
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy.orm":
                assert [alias.name for alias in node.names] == ["Session"], file


def test_imports_stand_at_the_top_but_for_those_that_load_tensorflow() -> None:
    inside = {(found.file, found.module) for found in ALL if found.inside and found.module.split(".")[0] in OURS}
    assert inside == INSIDE


def test_only_training_and_its_engine_import_keras() -> None:
    users = {found.file for found in ALL if found.module.split(".")[0] in {"keras", "tensorflow"}}
    own = {
        f"models/{name}.py"
        for name in (
            "engines/keras",
            "engines/keras_layers",
            *(f"training/{x}" for x in ("compile", "fit", "loss", "resume")),
        )
    }
    assert users == own
    # Who imports these at the top is TensorFlow's house too.
    heavy = set(users)
    while more := {found.file for found in ALL if not found.inside and found.module in map(module_of, heavy)} - heavy:
        heavy |= more
    assert heavy - users <= {
        "models/training/pipeline.py",
        "models/training/search.py",
        "app/work/bundle_import.py",
        "app/work/training_run.py",
        "app/work/progress_reporter.py",
        "app/work/train.py",
        "app/work/tune.py",
    }


def test_stored_and_sent_bytes_are_never_code() -> None:
    for found in ALL:
        is_harmless = (found.file, found.module) in HARMLESS
        assert found.module.split(".")[0] not in FORBIDDEN_MODULES or is_harmless, found
    for file in FILES:
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            is_method = isinstance(node.func, ast.Attribute) and called == "compile"  # of a regex, or of a network
            assert called not in FORBIDDEN_CALLS or is_method, (name_of(file), node.lineno, called)
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                assert (keyword.arg, value) not in FORBIDDEN_ARGUMENTS, (name_of(file), node.lineno)


def made_at_import(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that importing runs: all but those in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from made_at_import(child)


def test_importing_makes_nothing_that_works() -> None:
    workers = {"Settings", "Database", "FastAPI", "create_app", "create_service", "LoadedModels", "Telemetry"}
    workers |= {"create_engine", "sessionmaker", "Thread", "ThreadPoolExecutor", "open", "connect"}
    for file in FILES:
        if name_of(file).startswith("migrations/"):
            continue  # Alembic runs its scripts by importing them
        for call in made_at_import(tree(file)):
            called = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            assert called not in workers, (name_of(file), call.lineno, called)


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    long = {name_of(file) for file in FILES if len(file.read_text().splitlines()) > 300}
    assert long == set()
