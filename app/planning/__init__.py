"""Planning: a request becomes a job in which every field has a value, or is refused.

Each kind of job (``train``, ``retrain``, ``tune``, ``backtest``, ``forecast``) has a module of its name, and ``import``
has ``bundle_import``. A module has the request, the payload that the job table stores, ``plan``, and ``KIND``, which
also names the function that does the work. A new kind is such a module, a module of ``app.work`` and a line in
``kinds``.

The way of a training job, from ``POST /v1/jobs`` to its answer; each file is listed where the job comes to it first:

    api/jobs                            the route
    planning/jobs                       submit_job: plan, queue, answer; each in one transaction at most
    planning/kinds                      the table of kinds: which ``plan``
    planning/train                      plan: data, members, checks, payload
    planning/job_kind                   PlanContext: stored data and versions
    store/datasets, store/panels        the revision and its content
    models/training/recipes             suggest: fields that the request leaves out
    models/training/feasibility         check: whether training and backtest can work
    planning/training_payload           TrainPayload: what the job table stores
    store/jobs/queue, store/jobs/events the row of the job, and its first event
    planning/job_answers                JobAnswer

``tests/app/planning/test_walk.py`` counts the files of this way, and the steps up to a file of a higher floor.
"""
