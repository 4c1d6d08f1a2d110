"""The numbers of the README are those of the committed report."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_numbers_of_the_readme_are_the_reports():
    readme = (ROOT / "README.md").read_text()
    report = (ROOT / "reports/README.md").read_text() + (ROOT / "reports/table4.md").read_text()
    rates = re.findall(r"\| ([\d.]+) % \| ([\d.]+ to [\d.]+) % \| ([\d.]*) ?\|", readme)
    scores = re.findall(r"\b(\d\d\.\d\d) dB\b", readme)
    assert len(rates) >= 8
    assert len(scores) >= 6
    shown = [f"| {rate} % ({ends}){f'; SD {sd}' if sd else ''} " for rate, ends, sd in rates]
    assert not [words for words in shown if words not in report]
    assert not [score for score in scores if not re.search(rf"\| {score} \(", report)]
