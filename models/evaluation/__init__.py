"""Evaluation: errors of forecasts, intervals from errors, and decisions by errors.

``metrics`` has the formulas and ``scoring`` the table of those that a report has. ``origins`` chooses the windows of a
backtest, ``backtest`` forecasts them beside ``baselines``, ``report`` is the result. ``intervals`` calibrates on its
residuals (``half_widths``, ``radii``), ``adaptive_intervals`` on observed errors, ``mean`` corrects means.
``promotion`` decides by ``significance``, ``refit_check`` and ``data_audit`` (``block_statistics``,
``block_comparisons``).
"""
