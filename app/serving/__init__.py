"""Parts that serve forecasts from memory: caches of versions, models, panels and sessions, the batcher, and the log."""
