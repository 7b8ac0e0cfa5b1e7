"""The desk report: one self-contained HTML page per language, and its parts for the Dagster UI.

What lives here: turning stored frames into a page. What does not: any forecast, score or verdict; those arrive in
:class:`ReportInputs`. Entry point: :func:`build_report`.
"""

from forex_assets.reporting.forecast_charts import fan_chart_png
from forex_assets.reporting.inputs import ReportInputs
from forex_assets.reporting.localize import LANGUAGES, Language
from forex_assets.reporting.report import build_report, report_filename, summary_markdown

__all__ = [
    "LANGUAGES",
    "Language",
    "ReportInputs",
    "build_report",
    "fan_chart_png",
    "report_filename",
    "summary_markdown",
]
