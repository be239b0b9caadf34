"""The documentation is true: its commands run, and it names every endpoint and every setting."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.edge.access import ACCESS, Access
from app.settings import Settings
from models.data.transforms import TRANSFORMS
from models.network.cells import CELLS
from models.network.encoders import ENCODERS
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES
from models.training.recipes import RECIPES
from tests import facts

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NAMED_FILE = re.compile(r"`((?:app|models|tests|benchmarks|deploy|docs|migrations)/[\w/.-]+)`")
NAMED_MODULE = re.compile(r"``((?:app|models|benchmarks)(?:\.\w+)+)``")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's relative paths hold, with a database of its own."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "app" / "samples", folder / "app" / "samples")
    return folder


@pytest.fixture(scope="module")
def url(workplace: Path) -> Iterator[str]:
    """Where the README's first command serves; on a free port instead of 8000."""
    with subprocess.Popen(
        ["make", "--no-print-directory", "serve", "TRAIN=--training max_epochs=2"],
        cwd=ROOT,
        env={**_env(workplace), "FORECASTLE_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stderr is not None
        said = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"URL +(http\S+)", line):
                break
        else:
            pytest.fail(f"make serve ended without a banner:\n{''.join(said)}")
        yield found[1]
        os.killpg(server.pid, signal.SIGTERM)
        server.stderr.read()


def test_the_first_session_runs_as_it_stands(url: str, workplace: Path) -> None:
    assert BLOCKS[0].strip() == "make serve"
    printed = _bash(BLOCKS[1].replace("http://127.0.0.1:8000", url), workplace)
    decoder, answers, at = json.JSONDecoder(), [], 0
    for found in re.finditer(r'\{"', printed):
        if found.start() >= at:
            answer, at = decoder.raw_decode(printed, found.start())
            answers.append(answer)
    created, appended, retail, office, nightly = answers
    assert (appended["revision"], appended["rows_added"]) == (2, 1)
    assert (created["dataset"], created["rows_total"]) == ("retail", 8820)
    assert '"state":"succeeded"' in printed
    assert [series["unique_id"] for series in retail["forecasts"]] == ["Food retailing", "Department stores"]
    assert [series["ds"][0] for series in retail["forecasts"]] == ["2019-02-01T00:00:00", "2019-01-01T00:00:00"]
    assert set(retail["forecasts"][0]["intervals"]) == {"80", "95"}
    assert retail["skill"] > 0
    assert office["forecasts"][0]["ds"] == ["2026-01-04T00:00:00", "2026-01-04T01:00:00", "2026-01-04T02:00:00"]
    assert len(nightly["next_due"]) == 5


def test_the_first_session_ends_in_words_if_the_job_is_refused(url: str, workplace: Path) -> None:
    # As in a terminal, where no command but the refused one ends the session.
    script = BLOCKS[1][: BLOCKS[1].index("# more rows")].replace("http://127.0.0.1:8000", url)
    refused = script.replace('"dataset": "retail"', '"dataset": "retial"')
    done = subprocess.run(
        ["bash", "--norc", "-i"],
        input=refused,
        cwd=workplace,
        env=_env(workplace),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "no data set" in done.stderr
    assert '"state"' not in done.stdout


def test_the_same_works_from_the_command_line(url: str, workplace: Path) -> None:
    trained, header, *rows = _bash(BLOCKS[2], workplace).splitlines()
    assert trained == "shops 1"
    assert header == "unique_id,ds,median,mean,lo-80,hi-80"
    assert rows[:120][-1].startswith("Takeaway food services,2019-06-01T00:00:00,")
    assert rows[120] == "forecaster,mase,smape,rmse,mse,rmsse"
    assert [row.split(",")[0] for row in rows[121:125]] == ["model", "seasonal_naive", "naive", "drift"]
    assert re.fullmatch(r"fc_[a-z0-9]{8}_[\w-]{43}", rows[125])
    assert url


def test_the_container_session_is_what_make_container_runs() -> None:
    secrets, up, keys = BLOCKS[3].strip().splitlines()
    check = (ROOT / "deploy" / "container-check.sh").read_text()
    smoke = "".join(path.read_text() for path in (ROOT / "deploy").glob("smoke*"))
    assert secrets.split("#")[0].strip() in check
    assert up == "docker compose up --build --detach --wait"
    assert "docker compose build" in check
    assert "docker compose up --detach --wait" in check
    assert keys == "docker compose exec api forecastle keys create --name me"
    assert '"forecastle", "keys", "create", "--name"' in smoke


def test_every_make_target_in_the_readme_exists() -> None:
    targets = re.findall(r"^make ([a-z-]+)", "".join(BLOCKS), re.MULTILINE)
    assert set(targets) == {"serve", "test", "test-faults", "soak", "check", "facts", "container"}
    benchmarks = set(re.findall(r"make (bench-[a-z]+)", README))
    assert benchmarks == {f"bench-{name}" for name in ("accuracy", "training", "serving", "jobs", "start")}
    subprocess.run(["make", "--dry-run", *targets, *benchmarks], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("method", "path"), [route for route, who in ACCESS.items() if who is not Access.ATTEMPT])
def test_every_endpoint_is_in_the_readme(method: str, path: str) -> None:
    assert f"`{method} {path}`" in README


@pytest.mark.parametrize("name", [*CELLS, *STRATEGIES])
def test_every_cell_and_strategy_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", [field.name for kind in (Spec, Training) for field in dataclasses.fields(kind)])
def test_every_field_of_a_model_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "modelling.md").read_text()


@pytest.mark.parametrize(
    "name",
    [*CELLS, *ENCODERS, *STRATEGIES, *SCALINGS, *TRANSFORMS, *LOSSES, *RECIPES],
)
def test_every_word_that_a_field_may_have_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "modelling.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    default = "~/.local/share/forecastle" if name == "data_dir" else field.default
    row = f"| `FORECASTLE_{name.upper()}` | `{default}` | {field.description} |"
    assert row in (ROOT / "docs" / "settings.md").read_text()


def test_documents_that_are_linked_exist() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_files_that_documents_name_exist() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
    named = {(file.name, path) for file in documents for path in NAMED_FILE.findall(file.read_text())}
    assert len(named) > 50
    assert [one for one in named if not (ROOT / one[1]).exists() and not (ROOT / f"{one[1]}.py").exists()] == []


def test_modules_that_the_source_names_exist() -> None:
    named = {(path, found) for path, text in facts.sources().items() for found in NAMED_MODULE.findall(text)}
    assert len(named) > 50
    # The last parts of a name may be a class and its method.
    heads = [(path, name, [name.rsplit(".", parts)[0] for parts in range(3)]) for path, name in named]
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in facts.sources()}
    assert [(path, name) for path, name, possible in heads if not modules & set(possible)] == []


def test_the_changelog_and_the_package_agree_on_what_is_released() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    released = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version is not None
    assert not released or released[0] == version[1]


def _env(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "FORECASTLE_DATA_DIR": str(folder / "var")}


def _bash(script: str, folder: Path) -> str:
    """What ``script`` prints; fails where any of it fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=_env(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
