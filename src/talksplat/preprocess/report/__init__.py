"""What preprocessing found: a table on the console, the manifest's records, one page as HTML and as a picture."""

from talksplat.preprocess.report.console import print_report, step_record, track_record
from talksplat.preprocess.report.facts import Facts
from talksplat.preprocess.report.gather import gather, run_checks
from talksplat.preprocess.report.page import HTML_NAME, PNG_NAME, write_report
from talksplat.preprocess.report.pictures import Pictures, chosen_positions, take_pictures

__all__ = [
    "HTML_NAME",
    "PNG_NAME",
    "Facts",
    "Pictures",
    "chosen_positions",
    "gather",
    "print_report",
    "run_checks",
    "step_record",
    "take_pictures",
    "track_record",
    "write_report",
]
