"""Benchmark ``make bench-accuracy``: accuracy of the forecasts by published protocols.

``two_sine``, ``ett``, ``m4`` and ``sets`` are the protocols. They use the library only through ``protocol``: ``teach``
returns a ``Predictor``, and a predictor returns an ``Answer``. ``benchmarks.learn`` implements both with the library.
"""
