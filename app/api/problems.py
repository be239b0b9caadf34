"""/problems: the meaning of each code of an error answer, which the answer's ``type`` leads to."""

from fastapi import APIRouter

from app.api.http.services import Caller, PathName, problems
from app.problem_pages import PROBLEM_PAGES
from app.problems import NotFound
from app.schemas.problems import ProblemAnswer
from models.errors import excerpt

router = APIRouter(tags=["service"])


@router.get("/problems/{code}", responses=problems(404), summary="Explain an error")
def get_problem(code: PathName, caller: Caller) -> ProblemAnswer:
    """Return the meaning and the remedy of an error code; any valid key may ask."""
    page = PROBLEM_PAGES.get(code)
    if page is None:
        raise NotFound(f"no error has the code {excerpt(code)}; docs/problems.md lists all codes")
    return ProblemAnswer(code=code, meaning=page.meaning, remedy=page.remedy)
