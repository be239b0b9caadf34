"""Forecasting models: the library that turns history into forecasts.

*Models* here means forecasters, not database tables (those are in ``app/store/tables/``). Arrays in, arrays out:
nothing in this package knows HTTP, SQL, the environment or the clock.
"""
