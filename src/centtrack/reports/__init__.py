"""The questions a data team asks, written once and compiled by Ibis."""

from centtrack.reports.lake import open_lake
from centtrack.reports.report import Report, Row, Section, make_report

__all__ = ["Report", "Row", "Section", "make_report", "open_lake"]
