"""Every interval of the pages again, from the CSV files alone and by other means than the report's."""

import csv
import math
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from reporting_inputs import SOLVED, make_project, report_params, write_clips, write_reports, write_rollouts
from scipy.optimize import brentq
from scipy.stats import norm, t, ttest_ind

from worldvla.metrics.bootstrap import mean_interval
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.claims import CLAIMS

Z = norm.ppf(0.975)
AHEAD = "action_world_chunk_mask_planned"
NUMBERS = r"([-+]?[\d.]+) to ([-+]?[\d.]+)"


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    """Return the reports of three trainings of each variant on two suites, of other states each."""
    project, random = make_project(tmp_path_factory.mktemp("raw")), np.random.default_rng(0)
    for suite in ("goal", "spatial"):
        for variant, solved in {**SOLVED, AHEAD: 9}.items():
            for number in (1, 2, 3):
                states = {(task, init) for task in (0, 1) for init in range(10) if random.random() < solved / 10}
                write_rollouts(project / "rollouts" / f"{variant}-{suite}-{number}", variant, suite, states)
        write_clips(project / "videos" / suite, trainings=(1, 2, 3))
    (project / "report.yaml").write_text(report_params("[goal, spatial]", trainings="[1, 2, 3]", least=3))
    return write_reports(project)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def episodes(reports) -> dict:
    """Return, by variant and suite, each state's outcomes."""
    found: dict = defaultdict(lambda: defaultdict(list))
    for row in read(reports / "episodes.csv"):
        found[row["variant"], row["suite"]][row["task"], row["init_state"]].append(float(row["success"]))
    return found


@pytest.fixture(scope="module")
def percents(reports) -> dict:
    """Return, by variant and suite, the rate of each training."""
    found: dict = defaultdict(list)
    for row in read(reports / "trainings.csv"):
        found[row["variant"], row["suite"]].append(float(row["percent"]))
        assert float(row["percent"]) == pytest.approx(100 * int(row["successes"]) / int(row["episodes"]), abs=1e-4)
    return found


def score_interval(rate: float, num: int) -> tuple[float, float]:
    """Return both true rates at which the observed one is just as far as 5 % allow: Wilson's interval."""

    def away(true: float) -> float:
        return (rate - true) ** 2 - Z**2 * true * (1 - true) / num

    low = 0.0 if rate == 0 else brentq(away, 0, rate)
    return float(low), 1.0 if rate == 1 else float(brentq(away, rate, 1))


def squared(rate: float, ends: list[tuple[float, float]], rates: list[float]) -> tuple[float, float]:
    """Return the interval of a mean of independent parts."""
    below = math.sqrt(sum((one - low) ** 2 for one, (low, _) in zip(rates, ends, strict=True))) / len(rates)
    above = math.sqrt(sum((high - one) ** 2 for one, (_, high) in zip(rates, ends, strict=True))) / len(rates)
    return rate - below, rate + above


def newcombe(first: list[float], second: list[float]) -> tuple[float, float, float]:
    a, b, num = np.array(first), np.array(second), len(first)
    (low_1, high_1), (low_2, high_2) = (score_interval(one.mean(), num) for one in (a, b))
    covariance = num**2 * ((a * b).mean() - a.mean() * b.mean())  # the product of the table's diagonals, less the other
    shrunk = max(covariance - num / 2, 0) if covariance > 0 else covariance
    spread = num**2 * math.sqrt(a.mean() * (1 - a.mean()) * b.mean() * (1 - b.mean()))
    phi = shrunk / spread if spread else 0
    down, up = (a.mean() - low_1, high_2 - b.mean()), (high_1 - a.mean(), b.mean() - low_2)
    value = a.mean() - b.mean()
    low, high = (math.sqrt(x * x - 2 * phi * x * y + y * y) for x, y in (down, up))
    return value, value - low, value + high


def numbers(cell: str) -> tuple[float, float]:
    found = re.search(NUMBERS, cell)
    assert found, cell
    return float(found[1]), float(found[2])


def tables(text: str, first: str) -> list[list[list[str]]]:
    """Return the rows of all tables whose first column has this name."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in [*text.splitlines(), ""]]
    starts = [place for place, row in enumerate(lines) if row[0] == first]
    ends = [next(place for place in range(start, len(lines)) if lines[place] == [""]) for start in starts]
    return [lines[start + 2 : end] for start, end in zip(starts, ends, strict=True)]


GROUPS = (["goal"], ["spatial"], ["goal", "spatial"])


@pytest.mark.parametrize("name", [name for name in RATES if name != "table2"])
def test_the_intervals_of_a_page_of_rates(reports, episodes, percents, name):
    text = (reports / f"{name}.md").read_text().split("\n## Speed")[0].split("\n### ")[0]
    variant = {row["key"]: row["variant"] for row in RATES[name]["rows"]}
    checked = 0
    for rows, suites in zip(tables(text, "Row"), GROUPS, strict=True):
        for row in [row for row in rows if "%" in row[3]]:
            states = [[fmean(one) for one in episodes[variant[row[0]], suite].values()] for suite in suites]
            rates = [fmean(one) for one in states]
            low, high = squared(fmean(rates), [score_interval(fmean(one), len(one)) for one in states], rates)
            assert numbers(row[4]) == pytest.approx((100 * max(low, 0), 100 * min(high, 1)), abs=0.051)
            own = [percents[variant[row[0]], suite] for suite in suites]
            if len(suites) == 1 and np.ptp(own[0]):
                error = np.std(own[0], ddof=1) / math.sqrt(3)
                assert numbers(row[5]) == pytest.approx(t.interval(0.95, 2, fmean(own[0]), error), abs=0.051)
            checked += 1
    for rows, suites in zip(tables(text, "Rows"), GROUPS, strict=True):
        for row in [row for row in rows if " to " in row[4]]:
            pair = [variant[key] for key in row[0].split(" against ")]
            values = [
                newcombe(*([fmean(one) for one in episodes[key, suite].values()] for key in pair)) for suite in suites
            ]
            ends = squared(fmean(v[0] for v in values), [v[1:] for v in values], [v[0] for v in values])
            assert numbers(row[4]) == pytest.approx((100 * ends[0], 100 * ends[1]), abs=0.051)
            if len(suites) == 1 and " to " in row[3]:
                test = ttest_ind(*(percents[key, suites[0]] for key in pair), equal_var=False)
                assert numbers(row[3]) == pytest.approx(tuple(test.confidence_interval()), abs=0.051)
                assert (row[1].split(";")[0] == "open") == (test.pvalue >= 0.05)
            checked += 1
    assert checked > 6


def test_the_intervals_of_claims_about_two_suites(reports, percents):
    rows = [row for rows in tables((reports / "claims.md").read_text(), "Verdict") for row in rows]
    checked = 0
    for claim in CLAIMS.values():
        (row, *others) = [row for row in rows if row[1].startswith(f"{claim.claim}; ")] or [[]]
        if not row or others or claim.metric or claim.compares != "variants" or " to " not in row[3]:
            continue
        # Two suites: the mean of their differences, with the degrees of freedom of four arms.
        arms = [percents[variant, suite] for variant in claim.variants for suite in ("goal", "spatial")]
        parts = [np.var(arm, ddof=1) / 4 / 3 for arm in arms]
        degrees = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
        value = fmean(map(fmean, arms[:2])) - fmean(map(fmean, arms[2:]))
        assert numbers(row[3]) == pytest.approx(t.interval(0.95, degrees, value, math.sqrt(sum(parts))), abs=0.051)
        checked += 1
    assert checked >= 8


def test_the_intervals_of_the_clips(reports):
    scores: dict = defaultdict(list)
    for row in read(reports / "clips.csv"):
        if row["suite"] == "goal" and row["horizon"] == "10" and row["actions"] in ("true", "none"):
            scores[row["source"].rsplit("-", 1)[0], row["task"], row["demo"]].append(float(row["psnr"]))
    rows = {row[0]: row for row in tables((reports / "table4.md").read_text(), "Source")[0]}
    for source, label in (("world", "world model"), ("copy", "copy of the given frame")):
        values = np.array([fmean(one) for (name, *_), one in sorted(scores.items()) if name == source])
        assert numbers(rows[label][5]) == pytest.approx(mean_interval(values, 0), abs=0.0051)
