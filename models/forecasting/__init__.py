"""Forecasting: a trained forecaster as a value, as bytes, and at work.

``forecaster`` joins networks and calibration; ``bundle`` converts it to bytes. ``rollout`` predicts any horizon by one
network, ``combination`` joins the members, ``split`` divides a joint prediction among requests, ``bounding`` and
``fallback`` correct it. ``session`` continues from new points with a ``carried_state``.
"""
