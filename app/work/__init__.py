"""Work: processes that run jobs and schedules.

``dispatcher`` claims jobs and starts attempts in ``executors``; ``runner`` calls the function of the job's kind. Each
kind has a module (``train`` also for ``retrain`` and ``tune``), which reads and reports by a ``job_context``.
``scheduler`` fires schedules by due times and ``triggers`` (alarms included), ``deliveries`` sends webhooks,
``quality`` scores served forecasts.
"""
