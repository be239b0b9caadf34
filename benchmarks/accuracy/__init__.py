"""``make bench-accuracy``: how good the forecasts are, by the protocols in use where such figures are published.

``two_sine``, ``ett``, ``m4`` and ``sets`` are the protocols. They know the library by three words only (``protocol``):
``teach``, the ``Predictor`` that it gives, and its ``Answer``; ``benchmarks.learn`` says them in the library's terms.
"""
