"""Training: from a panel to a forecaster that may be served.

``recipes`` and ``lengths`` suggest the fields of a spec, ``feasibility`` and ``budget`` refuse what cannot work,
``search`` chooses a spec, ``fit`` trains one network (``compile``, ``loss``, ``resume``), ``blending`` adds seasonal
naive, and ``pipeline`` does all of it.
"""
