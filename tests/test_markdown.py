"""Every page that people read is clean markdown: the report, the README and the documents."""

from pathlib import Path

import pytest
from pymarkdown.api import PyMarkdownApi
from reporting_inputs import SOLVED, make_project, write_reports, write_rollouts

ROOT = Path(__file__).parents[1]
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A paragraph of a page is one line, and so is a row of a table; a column of numbers stands to the right.
NOT_OURS = ("line-length", "table-column-style")


def faults(*paths: Path) -> list[str]:
    linter = PyMarkdownApi().enable_extension_by_identifier("markdown-tables")
    linter = linter.set_string_property("plugins.md033.allowed_elements", "details,summary")  # parts that fold away
    for rule in NOT_OURS:
        linter.disable_rule_by_identifier(rule)
    found = [fault for path in paths for fault in linter.scan_path(str(path)).scan_failures]
    return [
        f"{fault.scan_file}:{fault.line_number}: {fault.rule_id} {fault.rule_description}"
        f"{fault.extra_error_information}"
        for fault in found
    ]


def test_the_pages_of_the_report_are_clean(tmp_path):
    project = make_project(tmp_path, "[goal, spatial]")
    for variant in SOLVED:
        write_rollouts(project / "rollouts" / f"{variant}-spatial-1", variant, "spatial")
    assert not faults(*write_reports(project).glob("*.md"))


def test_the_pages_of_a_report_without_any_run_are_clean(tmp_path):
    project = make_project(tmp_path)
    for name in ("rollouts", "videos", "speed"):
        (project / name).rename(project / f"no_{name}")
    assert not faults(*write_reports(project).glob("*.md"))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_written_by_hand_is_clean(path):
    assert not faults(path)


def test_the_linter_sees_a_broken_table(tmp_path):
    (tmp_path / "page.md").write_text("# Page\n\n| a | b |\n| - | - |\n| 1 |\n")
    assert any("MD056" in fault for fault in faults(tmp_path / "page.md"))
