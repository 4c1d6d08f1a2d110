"""Every interval of the pages again, from the CSV files alone and by other means than the report's."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from reporting_inputs import SOLVED, TIMED, make_project, report_params, write_clips, write_reports, write_rollouts
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
        write_clips(project / "videos" / suite, trainings=(1, 2, 3), extractor="FVD", lpips=True)
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
        assert row["scored"] == "1"
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


def welch(arms: list[tuple[float, list[float]]]) -> tuple[float, float]:
    """Return the interval of a weighted sum of means, with Satterthwaite's degrees of freedom; nan if nothing varies."""
    parts = [weight**2 * np.var(values, ddof=1) / len(values) for weight, values in arms]
    if not sum(parts):
        return math.nan, math.nan
    degrees = sum(parts) ** 2 / sum(part**2 / (len(values) - 1) for part, (_, values) in zip(parts, arms, strict=True))
    return t.interval(0.95, degrees, sum(weight * fmean(values) for weight, values in arms), math.sqrt(sum(parts)))


def arms_of(percents: dict, pair: Sequence[str], suites: Sequence[str]) -> list[tuple[float, list[float]]]:
    """Return the rates of two variants on each suite, with the weights of their difference."""
    first, second = pair
    return [(weight / len(suites), percents[name, s]) for s in suites for name, weight in ((first, 1), (second, -1))]


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
    text = (reports / f"{name}.md").read_text().split("\n## Speed")[0].split("\n## How a chunk")[0].split("\n### ")[0]
    variant = {row["key"]: row["variant"] for row in RATES[name]["rows"]}
    checked = 0
    for rows, suites in zip(tables(text, "Row"), GROUPS, strict=True):
        for row in [row for row in rows if "%" in row[3]]:
            states = [[fmean(one) for one in episodes[variant[row[0]], suite].values()] for suite in suites]
            rates = [fmean(one) for one in states]
            low, high = squared(fmean(rates), [score_interval(fmean(one), len(one)) for one in states], rates)
            assert numbers(row[4]) == pytest.approx((100 * max(low, 0), 100 * min(high, 1)), abs=0.051)
            own = [percents[variant[row[0]], suite] for suite in suites]
            if np.ptp(own, axis=1).any():
                ends = welch([(1 / len(own), one) for one in own])
                assert numbers(row[5]) == pytest.approx((max(ends[0], 0), min(ends[1], 100)), abs=0.051)
            checked += 1
    for rows, suites in zip(tables(text, "Rows"), GROUPS, strict=True):
        for row in [row for row in rows if " to " in row[4]]:
            pair = [variant[key] for key in row[0].split(" against ")]
            values = [
                newcombe(*([fmean(one) for one in episodes[key, suite].values()] for key in pair)) for suite in suites
            ]
            ends = squared(fmean(v[0] for v in values), [v[1:] for v in values], [v[0] for v in values])
            assert numbers(row[4]) == pytest.approx((100 * ends[0], 100 * ends[1]), abs=0.051)
            over = welch(arms_of(percents, pair, suites))
            if not math.isnan(over[0]):
                assert numbers(row[3]) == pytest.approx(over, abs=0.051)
                assert (row[1].split(";")[0] == "open") == (over[0] <= 0 <= over[1])
            if len(suites) == 1:
                test = ttest_ind(*(percents[key, suites[0]] for key in pair), equal_var=False)
                assert over == pytest.approx(tuple(test.confidence_interval()), nan_ok=True)
            checked += 1
    assert checked > 6


def test_the_intervals_of_claims_about_two_suites(reports, episodes, percents):
    rows = [row for rows in tables((reports / "claims.md").read_text(), "Verdict") for row in rows]
    checked = 0
    for claim in CLAIMS.values():
        (row, *others) = [row for row in rows if row[1].startswith(f"{claim.claim}; ")] or [[]]
        if not row or others or claim.metric or claim.compares != "variants" or " to " not in row[3]:
            continue
        # Two suites: the mean of their differences, with the degrees of freedom of four arms.
        over = welch(arms_of(percents, claim.variants, ("goal", "spatial")))
        assert numbers(row[3]) == pytest.approx(over, abs=0.051)
        states = [[episodes[name, suite] for name in claim.variants] for suite in ("goal", "spatial")]
        values = [newcombe(*([fmean(one) for one in by_state.values()] for by_state in pair)) for pair in states]
        ends = squared(fmean(v[0] for v in values), [v[1:] for v in values], [v[0] for v in values])
        assert numbers(row[4]) == pytest.approx((100 * ends[0], 100 * ends[1]), abs=0.051)
        checked += 1
    assert checked >= 8


WORLDS = {"world model": "world", "action world model": "action_world_chunk_mask", "copy of the given frame": "copy"}
METRICS = {"PSNR, dB": ("psnr", 1), "SSIM x100": ("ssim", 100), "LPIPS x100": ("lpips_vgg", 100)}


def scores_of(reports: Path, metric: str, horizon: str, actions: tuple[str, ...] = ("true", "none")) -> dict:
    """Return, by model and training, the scores of the clips of the goal suite in the tables' unit."""
    column, factor = METRICS[metric]
    found: dict = defaultdict(lambda: defaultdict(list))
    for row in sorted(read(reports / "clips.csv"), key=lambda row: (row["task"], row["demo"])):
        if row["suite"] == "goal" and row["horizon"] == horizon and row["actions"] in actions:
            model, _, training = row["source"].partition("-")
            found[model][training].append(factor * float(row[column]))
    return {model: np.array(list(by_training.values())) for model, by_training in found.items()}


def test_the_intervals_of_the_clips(reports):
    text = (reports / "table4.md").read_text()
    for rows, horizon in zip(tables(text, "Source")[:2], ("10", "20"), strict=True):
        for place, metric in enumerate(METRICS, start=5):
            scores = scores_of(reports, metric, horizon)
            for row in [row for row in rows if row[0] in WORLDS]:
                means = scores[WORLDS[row[0]]].mean(axis=0)
                assert numbers(row[place]) == pytest.approx(mean_interval(means, 0), abs=0.0051)


def test_the_intervals_of_the_world_models_compared(reports):
    rows, checked = tables((reports / "table4.md").read_text(), "Frames")[0], 0
    for horizon, metric, _, _, over, beside, _ in rows:
        if metric == "FVD":
            distances = defaultdict(list)
            for row in read(reports / "distances.csv"):
                if row["suite"] == "goal" and row["horizon"] == horizon and row["extractor"] == "FVD":
                    distances[row["source"].partition("-")[0]].append(float(row["distance"]))
            arms = [distances[model] for model in ("action_world_chunk_mask", "world")]
            tolerance = 0.051
        else:
            scores = scores_of(reports, metric, horizon)
            pair = [scores[model] for model in ("action_world_chunk_mask", "world")]
            arms, tolerance = [one.mean(axis=1).tolist() for one in pair], 0.0051 if metric == "PSNR, dB" else 0.051
            ends = mean_interval(pair[0].mean(axis=0) - pair[1].mean(axis=0), 0)
            assert numbers(beside) == pytest.approx(ends, abs=tolerance)
        assert numbers(over) == pytest.approx(welch([(1, arms[0]), (-1, arms[1])]), abs=tolerance)
        checked += 1
    assert checked == 8


def test_the_intervals_of_what_a_model_makes_of_the_action(reports):
    rows = tables((reports / "table4.md").read_text(), "Model")[0]
    for label, horizon, metric, shuffled, copied in rows:
        true = scores_of(reports, metric, horizon)
        others = (scores_of(reports, metric, horizon, ("shuffled",))[WORLDS[label]], true["copy"])
        for cell, other in zip((shuffled, copied), others, strict=True):
            ends = mean_interval(true[WORLDS[label]].mean(axis=0) - other.mean(axis=0), 0)
            assert numbers(cell) == pytest.approx(ends, abs=0.0051)
    assert len(rows) == 8


def test_outcomes_that_no_page_counts_are_there_and_say_so(tmp_path):
    project = make_project(tmp_path)
    params = report_params(split="release", trainings="[1, 2]")
    lone = next(line for line in params.splitlines() if line.startswith("    action_h4: "))
    (project / "report.yaml").write_text(f"{params}{lone.replace('action_h4', 'unasked')}\n")
    solved = {(0, 0), (1, 0), (1, 1)}
    for number in (1, 2):
        write_rollouts(project / "rollouts" / f"unasked-goal-{number}", "unasked", solved=solved)
    folder = write_reports(project)
    found = [row for row in read(folder / "trainings.csv") if row["variant"] == "unasked"]
    # One task is left out; a page has no row of the variant.
    keys = ("training", "run", "scored", "successes", "episodes")
    assert [[row[key] for key in keys] for row in found] == [
        [number, f"unasked-goal-{number}", scored, successes, "10"]
        for number in "12"
        for scored, successes in (("0", "2"), ("1", "1"))
    ]
    episodes = read(folder / "episodes.csv")
    assert sum(row["variant"] == "unasked" for row in episodes) == 40
    # The second training is missing, so that the row has no number; the first one's outcomes are still there.
    assert {row["scored"] for row in episodes if row["variant"] == "action"} == {"0"}
    assert sum(int(row["success"]) for row in episodes if row["variant"] == "action") == 2 * SOLVED["action"]


def test_every_score_and_every_distance_is_there(reports):
    for name, size in (("clips", 2 * 2 * 6 * (2 * 3 * 2 + 2)), ("distances", 2 * 2 * (2 * 3 + 2))):
        assert len(read(reports / f"{name}.csv")) == size
    floors = {row["floor"] for row in read(reports / "distances.csv")}
    assert floors == {"44.5"}


def test_the_time_of_every_query_is_there(reports):
    found = defaultdict(list)
    for row in read(reports / "queries.csv"):
        assert int(row["round"]) == 1 + len(found[row["variant"]])
        found[row["variant"]].append(int(row["chunk"]) / float(row["ms"]) * 1000)
    assert {variant: np.median(speeds) for variant, speeds in found.items()} == pytest.approx(TIMED)
    assert all(len(speeds) == 9 for speeds in found.values())
