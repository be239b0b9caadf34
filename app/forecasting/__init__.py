"""Forecasts without HTTP: ``Forecasting`` in ``forecast`` is the one way to them, for routes and the command line.

A ``POST /v1/forecasts`` visits these files, each from a higher floor of the service to a lower one:

1. ``main`` (``Guarded``), ``edge/guard`` (key, size), ``edge/compression_middleware`` (compressed bodies)
2. ``api/http/raw_routes`` (past FastAPI), ``api/forecasts`` (decode), ``edge/content_negotiation`` (``Accept``),
   ``schemas/forecasts`` (the body)
3. ``forecasting/forecast`` (the sequence), which calls ``serving/version_resolver`` (version of an alias),
   ``serving/model_cache`` (networks in memory), ``forecasting/request_panel`` (the panel), ``forecasting/cost``
   (admission), ``serving/batcher`` (whose turn it is), ``serving/batch`` (one pass for many requests), and
   ``forecasting/json_answer`` (bytes)
"""
