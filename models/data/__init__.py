"""Data: panels of regular series, from tables to windows.

``panel`` holds checked series (``from_series``, ``frames`` and ``validation`` make it from input), ``concat`` and
``chunks`` join and split panels, ``calendar`` has frequencies and timestamps, ``windows`` the origins and the values
around them, ``serialization`` the byte format of panels and bundles.
"""
