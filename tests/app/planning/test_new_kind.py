"""A new kind of job is a module of planning, a function of work and a line in the table; this file is both modules."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from app.planning.job_kind import PlanContext, RequestedKind
from app.planning.kinds import REQUESTED, request_type
from app.schemas.job_bodies import DatasetJobBody
from app.store import jobs
from app.store.jobs import NewJob
from app.store.outcomes import Outcome
from app.work.job_context import JobContext
from app.work.job_functions import load_job_functions
from app.work.runner import ExitStatus
from tests.app.planning.conftest import PlanningRoom
from tests.app.work.small_jobs import claim, work_on
from tests.models.samples import panel_of


class CountRequest(DatasetJobBody):
    """Count the points of a data set."""

    kind: Literal["count"]


@dataclass(frozen=True)
class CountPayload:
    """Plan of a count."""

    missing_too: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"missing_too": self.missing_too}


def plan(context: PlanContext, request: CountRequest) -> NewJob:
    return context.new_job(request, request.dataset, context.data(request.dataset, None).revision, CountPayload())


def count(context: JobContext) -> Outcome:
    assert context.job.data_id is not None
    return Outcome(result={"points": len(context.load_panel(context.job.data_id).y)})


KIND = RequestedKind(name="count", request=CountRequest, plan=plan, work=f"{__name__}:count")


def test_a_new_kind_is_read_planned_queued_and_done(room: PlanningRoom) -> None:
    room.store("sales", panel_of([1.0, 2.0, 3.0], [4.0, 5.0]))
    requests: TypeAdapter[Any] = TypeAdapter(request_type({**REQUESTED, "count": KIND}))
    request = requests.validate_python({"kind": "count", "dataset": "sales", "priority": 2})
    with room.database.write() as session:
        context = PlanContext(session, room.settings, room.principal, KIND.name)
        job_id = jobs.enqueue(session, KIND.plan(context, request)).id
    job = claim(room.database)
    assert (job.id, job.kind, job.priority, job.request) == (job_id, "count", 2, {"missing_too": False})
    assert work_on(room.database, job, load_job_functions([KIND])["count"]) == ExitStatus.DONE
    with room.database.read() as session:
        done = jobs.get(session, room.principal.tenant_id, job_id)
    assert (done.state, done.result) == ("succeeded", {"points": 5})
    assert KIND.details(job.request).order == {"missing_too": False}
