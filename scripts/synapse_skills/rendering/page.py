"""An upload that has run → one HTML page that needs nothing else: no script, no file beside it, no network."""

from __future__ import annotations

from synapse_skills.rendering.gallery import Page, gallery, render_page
from synapse_skills.rendering.result import UploadResult

MOST_UNITS = 60


def upload_page(result: UploadResult) -> Page:
    """Render the page of an upload."""
    return render_page(
        "upload.html.j2",
        gallery(result.shown, result.roots),
        result=result,
        plan=result.plan,
        report=result.report,
        verdict=_verdict(result),
        parts=_parts(result),
        in_trouble=sum(bool(unit.trouble) for unit in result.shown),
    )


def _verdict(result: UploadResult) -> tuple[str, str]:
    """How it went, as a word for the colour and a sentence."""
    report = result.report
    if report is None:
        return "bad", "The last run was cut off before it could write its report: run it again, it goes on."
    if report.mode == "dry-run":
        return "fair", "The last run was a dry run: it sent nothing. What earlier runs have uploaded is below."
    there = report.created + report.already
    if report.planned and there == report.planned and report.exit_code == 0:
        return "good", "Everything that was planned has arrived, exactly once."
    said = f"{there:,} of {report.planned:,} planned data units have arrived."
    # A run with --limit leaves the others for later: nothing has gone wrong.
    return ("fair" if report.exit_code == 0 and there else "bad"), said


def _parts(result: UploadResult) -> list[tuple[str, str, int]]:
    """The parts of what was planned: a name, a word for the colour, how many."""
    report = result.report
    if report is None:
        return []
    parts = [
        ("created", "good", report.created),
        ("already there", "good", report.already),
        ("failed", "bad", report.failed),
        ("quarantined", "bad", report.quarantined),
        ("pending", "fair", report.pending),
        ("left out by consent", "quiet", report.left_out),
    ]
    return [part for part in parts if part[2]]
