"""Every extension that CONTRIBUTING describes, made once: in a copy of the source, in at most three files."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILES = 3


@dataclass
class Source:
    """A copy of the source in ``folder``, with the files that were added or changed."""

    folder: Path
    changed: set[str]

    def add(self, path: str, text: str) -> None:
        """Write a new file."""
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(text)
        self.changed.add(path)

    def insert(self, path: str, after: str, text: str) -> None:
        """Insert ``text`` behind the only occurrence of ``after``."""
        before = (self.folder / path).read_text()
        assert before.count(after) == 1, f"{path} has {before.count(after)} times: {after}"
        (self.folder / path).write_text(before.replace(after, after + text))
        self.changed.add(path)

    def run(self, script: str) -> str:
        """Return the output of ``script`` on the copy; the tests' helpers come from this folder."""
        assert 1 <= len(self.changed) <= MAX_FILES
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)])}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    for name in ("app", "models", "migrations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "samples"))
    (tmp_path / "app" / "samples").mkdir()
    return Source(tmp_path, set())


def test_a_cell(source: Source) -> None:
    source.insert(
        "models/network/cells.py",
        after="CELLS: dict[str, Cell] = {\n",
        text="""    "rectified": Cell(
        layer="SimpleRNN", operator="RNN", gate_order=(0,), layer_options={"activation": "relu"},
        attributes={"activations": ("Relu",)},
    ),
""",
    )
    printed = source.run("""
from models.engines.keras import KerasEngine
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from tests.models.samples import small_spec, weights_of
spec = small_spec(cell="rectified")
weights = weights_of(spec)
print(check_parity(spec, KerasEngine(spec, weights), OnnxEngine(spec, weights)))
""")
    assert float(printed.splitlines()[-1]) <= 1e-5


FORECAST = """
import numpy as np
from models.forecasting.forecaster import predict
from tests.models.samples import panel_of, ready_of, small_spec, weights_of
spec = small_spec({options})
panel = panel_of([1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
networks = ready_of(spec, weights_of(spec))
print(np.isfinite(predict(networks, panel, np.array([0]), np.array([6]), 3).median).all())
"""


def test_a_scaling(source: Source) -> None:
    path = "models/network/scaling.py"
    source.insert(path, after="SCALINGS = {\n", text='    "median": Scaling(by_median),\n')
    source.insert(
        path,
        after="\n\ndef by_last_value(past: Floats, season: int, prior: Float32) -> Scaled:\n",
        text="""    return _normalise_around(past, _last(past))


def by_median(past: Floats, season: int, prior: Float32) -> Scaled:
    return _normalise_around(past, np.nanmedian(past, axis=1, keepdims=True))


def by_last_observed(past: Floats, season: int, prior: Float32) -> Scaled:
""",
    )
    assert source.run(FORECAST.format(options="scaling='median'")) == "True"


def test_a_metric(source: Source) -> None:
    source.insert(
        "models/evaluation/metrics.py",
        after="from models.types import Floats\n",
        text="""

def median_error(actual: Floats, forecast: Floats) -> Floats:
    return np.nanmedian(np.abs(actual - forecast), axis=1)
""",
    )
    source.insert(
        "models/evaluation/scoring.py",
        after="MEASURES: Mapping[str, Measure] = MappingProxyType(\n    {\n",
        text='        "median_error": Measure(lambda known, forecast: metrics.median_error(known.actual, forecast)),\n',
    )
    source.insert(
        "app/schemas/reports.py", after=RMSSE, text='    median_error: float | None = Field(None, description="M.")\n'
    )
    printed = source.run("""
import numpy as np
from app.schemas.reports import ScoreAnswer
from models.evaluation.scoring import Actuals, PointForecasts, collect_errors
actual, forecast = np.array([[1.0, 2.0, 9.0]]), np.array([[1.5, 1.0, 1.0]])
score = collect_errors([(Actuals(actual, np.ones(1), np.ones(1)), PointForecasts.same(forecast))]).score()
print(score["median_error"], ScoreAnswer(**score).median_error)
""")
    assert printed == "1.0 1.0"  # the median of 0.5, 1 and 8


RMSSE = '    rmsse: float | None = Field(None, description="Root mean squared scaled error.")\n'


def test_an_endpoint(source: Source) -> None:
    source.add(
        "app/api/cells.py",
        '''"""GET /v1/cells: the names of the cells."""

from fastapi import APIRouter

from models.network.cells import CELLS

router = APIRouter()


@router.get("/v1/cells")
def list_cells() -> list[str]:
    return list(CELLS)
''',
    )
    source.insert(
        "app/edge/access.py", after='("GET", "/v1/datasets"): Access.READ,\n', text=access_row("GET", "/v1/cells")
    )
    include_router(source, "cells")
    assert source.run(SERVED.format(call='house.acme.get("/v1/cells")')) == "['rnn', 'lstm', 'gru', 'peephole']"


def test_a_wire_format_of_another_product(source: Source) -> None:
    source.add(
        "app/api/open_inference.py",
        '''"""POST /v2/models/{name}/infer: one series as a tensor in, its mean forecast as a tensor out."""

import orjson
from fastapi import APIRouter, Request, Response

from app.api.forecasts import client_of
from app.schemas.forecasts import ForecastRequest

router = APIRouter()


def encode(provenance, forecast):
    return orjson.dumps({"outputs": [{"name": "mean", "data": forecast.median.ravel().tolist()}]})


@router.post("/v2/models/{name}/infer")
async def infer(name: str, http: Request) -> Response:
    (tensor,) = (await http.json())["inputs"]
    series = [{"unique_id": "0", "start": "2026-01-01", "y": tensor["data"]}]
    request = ForecastRequest(model=name, freq="D", series=series)
    service = http.app.state.service
    return Response(await service.forecasting.answer(client_of(http), request, None, encode))
''',
    )
    source.insert(
        "app/edge/access.py",
        after='("GET", "/v1/datasets"): Access.READ,\n',
        text=access_row("POST", "/v2/models/{name}/infer"),
    )
    include_router(source, "open_inference")
    body = '{"inputs": [{"name": "y", "data": [4, 6, 8, 10]}]}'
    printed = source.run(SERVED.format(call=f'house.acme.post("/v2/models/demand/infer", json={body})'))
    # The level is 10, the unit the mean distance from it, (6 + 4 + 2 + 0) / 4 = 3; the network predicts 1, 2, -1.
    assert printed == "{'outputs': [{'name': 'mean', 'data': [13.0, 16.0, 7.0]}]}"


SERVED = """
import tempfile
from pathlib import Path
from app.store.migrate import migrate
from tests.app.api.conftest import open_house
from tests.fakes import says
folder = Path(tempfile.mkdtemp())
migrate(f"sqlite:///{{folder}}/template.db")
with open_house(folder / "template.db", folder) as house:
    house.register(says(1, 2, -1))
    print({call})
"""


def access_row(method: str, path: str) -> str:
    return f'    ("{method}", "{path}"): Access.READ,\n'


def include_router(source: Source, name: str) -> None:
    source.insert("app/main.py", after="from app.api import (\n", text=f"    {name},\n")
    source.insert("app/main.py", after="    install(app)\n", text=f"    app.include_router({name}.router)\n")


def test_a_job_kind(source: Source) -> None:
    source.add(
        "app/planning/count.py",
        '''"""Job kind ``count``: count the series of a data set."""

from dataclasses import dataclass
from typing import Literal

from app.planning.job_kind import RequestedKind
from app.schemas.job_bodies import DatasetJobBody


class CountRequest(DatasetJobBody):
    """Count the series of a data set."""

    kind: Literal["count"]


@dataclass(frozen=True)
class CountPayload:
    """Nothing is left to plan."""

    def to_json(self):
        return {}


def plan(context, request):
    return context.new_job(request, "none", context.data(request.dataset, request.revision).revision, CountPayload())


KIND = RequestedKind(name="count", request=CountRequest, plan=plan, work="app.work.count:count")
''',
    )
    source.add(
        "app/work/count.py",
        '''"""Job kind ``count``: count the series of a data set."""

from app.store.outcomes import Outcome


def count(context):
    return Outcome(result={"series": len(context.load_panel(context.job.data_id))})
''',
    )
    kinds = "app/planning/kinds.py"
    source.insert(kinds, after="from app.planning import ", text="count, ")
    source.insert(kinds, after="for kind in (train.KIND,", text=" count.KIND,")
    printed = source.run("""
import tempfile
from pathlib import Path
from app.store import jobs, tasks
from app.store.migrate import migrate
from app.work.job_context import DatabaseJobContext
from app.work.job_functions import KINDS, load_job_functions
from app.work.runner import run_attempt
from tests.app.api.conftest import SALES, open_house
folder = Path(tempfile.mkdtemp())
migrate(f"sqlite:///{folder}/template.db")
with open_house(folder / "template.db", folder) as house:
    house.acme.keep("sales", SALES)
    job = house.acme.post("/v1/jobs", json={"kind": "count", "dataset": "sales"})
    with house.database.write() as session:
        claimed = jobs.claim(session, "worker", 600)
        task = tasks.task(session, claimed.tenant_id, claimed.id, claimed.token)
    context = DatabaseJobContext(house.database, task)
    run_attempt("count", lambda: context, load_job_functions([KINDS["count"]]))
    print(house.acme.get(f"/v1/jobs/{job['id']}")["result"])
""")
    assert printed == "{'series': 2}"


def test_a_table_format(source: Source) -> None:
    source.add(
        "app/tables/fixed_width_table.py",
        '''"""Reader of tables with blanks between the columns."""

from app.tables.csv_table import table_from_csv


def table_from_blanks(data, max_rows, options, texts):
    return table_from_csv(data.replace(b" ", b","), max_rows, texts)
''',
    )
    source.insert("app/formats/media_types.py", after="MEDIA_TYPES = {\n", text='    ".txt": "text/x-blanks",\n')
    readers = "app/tables/readers.py"
    blanks = "from app.tables.fixed_width_table import table_from_blanks\n"
    source.insert(readers, after="from app.tables.excel_table import table_from_excel\n", text=blanks)
    after = "READERS: dict[str, Reader] = {\n"
    source.insert(readers, after=after, text='    MEDIA_TYPES[".txt"]: table_from_blanks,\n')
    printed = source.run("""
from pathlib import Path
from app.tables import TableOptions, read_file
Path("a.txt").write_text("unique_id ds y\\na 2026-01-01 1\\na 2026-01-02 2\\n")
print(read_file(Path("a.txt"), TableOptions(freq="D"), 10).panel.y.tolist())
""")
    assert printed == "[1.0, 2.0]"


def test_a_covariate_role(source: Source) -> None:
    source.insert(
        "models/network/covariate_roles.py",
        after="ROLES = {\n",
        text='    "lagged_covariates": Role(varies=True, known_ahead=False),\n',
    )
    source.insert(
        "models/network/spec_fields.py",
        after="    past_covariates: tuple[str, ...] = ()\n",
        text="    lagged_covariates: tuple[str, ...] = ()\n",
    )
    printed = source.run("""
from models.network.constraints import *
from tests.models.samples import small_spec
spec = small_spec(lagged_covariates=("load",))
print(spec.covariates, spec.varying_covariates, type(spec).from_json(spec.to_json()) == spec)
""")
    assert printed == "('load',) ('load',) True"
