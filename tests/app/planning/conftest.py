"""The service over a real database, as the tests of the API use it."""

from tests.app.api.conftest import house

__all__ = ["house"]
