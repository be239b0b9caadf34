"""Benchmark ``make soak``: two real servers over one database under mixed load while an operator moves aliases.

Every forecast is compared with the library's forecast of the version named in the answer; any other answer must be a
documented refusal. ``house`` creates the models, ``asks`` the requests with their expected answers, ``clients`` sends
them, ``operator`` moves aliases, ``record`` counts, and ``report`` returns the rows.
"""
