"""Explanations of error codes."""

from app.schemas.base import Answer


class ProblemAnswer(Answer):
    """Meaning of the code of an error answer, and the remedy."""

    code: str
    meaning: str
    remedy: str
