"""The service put together: what it does to the process for as long as it runs."""

import asyncio
import gc
from pathlib import Path

from app.main import MAX_UNCOLLECTED, create_app
from app.settings import Settings


def test_the_collector_looks_seldom_while_the_service_runs_and_as_before_afterwards(tmp_path: Path) -> None:
    gc.unfreeze()  # a command that ran in this process leaves frozen objects
    app, before = create_app(Settings(data_dir=tmp_path)), (gc.get_threshold(), gc.get_freeze_count())

    async def run() -> tuple[int, int]:
        async with app.router.lifespan_context(app):
            return gc.get_threshold()[0], gc.get_freeze_count()

    threshold, left_alone = asyncio.run(run())
    assert threshold == MAX_UNCOLLECTED > before[0][0]
    assert left_alone > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
