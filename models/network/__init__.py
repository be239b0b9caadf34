"""Networks: the spec of a network, its parts, and the inputs that it reads.

Each kind of part has one table: ``cells``, ``encoders``, ``strategies``, ``losses``, ``scaling``, ``covariate_roles``.
``spec_fields`` lists the fields of a spec, ``constraints`` checks them, ``spec`` is the checked spec. ``build`` joins
encoder and strategy, written in the operations of ``ops``; ``inputs`` reads a panel for a network.
"""
