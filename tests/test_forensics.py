import re
from pathlib import Path

import pytest
from reporting_inputs import cells
from scipy.stats import binomtest, chi2_contingency

from worldvla.metrics.published_rates import (
    chance_agreement,
    chance_of_as_many,
    count,
    episodes_needed,
    query_time,
    stratified,
    unpaired,
)
from worldvla.reporting.inference import published
from worldvla.reporting.pages.forensics import write_page


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("reports")
    write_page(folder)
    return (folder / "forensics.md").read_text()


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write the page of published numbers of which one line is another."""

    def write(old: str, new: str) -> str:
        numbers = published.NUMBERS.read_text()
        assert numbers.count(old) == 1
        (tmp_path / "published.yaml").write_text(numbers.replace(old, new))
        monkeypatch.setattr(published, "NUMBERS", tmp_path / "published.yaml")
        published._all_tables.cache_clear()
        write_page(tmp_path)
        return (tmp_path / "forensics.md").read_text()

    yield write
    published._all_tables.cache_clear()


@pytest.mark.parametrize(
    ("rate", "episodes", "k"),
    [
        (85.6, 500, 428),  # exactly
        (67.3, 450, 303),  # 67.33
        (67.3, 500, None),  # 336 is 67.2, 337 is 67.4
        (23.0, 450, None),  # 103 is 22.9, 104 is 23.1
        (23.0, 500, 115),
        (0.2, 400, 1),  # 0.25: a half is printed either way
        (0.3, 400, 1),
        (0.0, 450, 0),
        (100.0, 450, 450),
    ],
)
def test_a_printed_rate_is_the_count_that_rounds_to_it(rate, episodes, k):
    assert count(rate, episodes) == k


def test_every_count_is_found_again_from_its_printed_rate():
    assert all(count(round(100 * k / 450, 1), 450) == k for k in range(451))


def test_other_numbers_of_decimals_are_other_questions():
    assert count(33.0, 3, decimals=0) == 1
    assert count(33.33, 3, decimals=2) == 1
    assert count(33.3, 3, decimals=2) is None


@pytest.mark.parametrize(("rate", "episodes"), [(-0.1, 450), (100.1, 450), (67.33, 450), (67.3, 0), (67.3, 1000)])
def test_what_is_no_printed_rate_is_refused(rate, episodes):
    with pytest.raises(ValueError, match="expected"):
        count(rate, episodes)


def test_chance_agreement_is_the_share_of_printable_rates():
    assert chance_agreement(450) == 451 / 1001
    assert chance_agreement(500) == 501 / 1001
    assert chance_agreement(10, decimals=0) == 11 / 101


def test_chance_of_as_many_is_the_tail_of_the_binomial():
    assert chance_of_as_many(23, 24, 0.45) == pytest.approx(binomtest(23, 24, 0.45, "greater").pvalue)
    assert chance_of_as_many(0, 24, 0.45) == pytest.approx(1)


def test_unpaired_rates_are_tested_as_two_proportions():
    result = unpaired(60.0, 50.0, 100)
    # The pooled rate is 0.55: 0.1 / sqrt(0.55 * 0.45 * 2 / 100).
    assert result.z == pytest.approx(1.4213, abs=1e-4)
    assert result.difference == pytest.approx(10)
    squared = chi2_contingency([[60, 40], [50, 50]], correction=False)
    assert (result.z**2, result.p_value) == pytest.approx((squared[0], squared[1]))


def test_unpaired_interval_has_the_published_values():
    # Newcombe 1998, method 10: 9/10 against 3/10, and 10/10 against 0/10.
    for rates, interval in (((90.0, 30.0), (17.05, 80.90)), ((100.0, 0.0), (60.75, 100.0))):
        result = unpaired(*rates, 10)
        assert (result.low, result.high) == pytest.approx(interval, abs=0.005)


def test_equal_rates_do_not_differ_whatever_the_number_of_episodes():
    for rate in (0.0, 50.0, 100.0):
        result = unpaired(rate, rate, 450)
        assert (result.difference, result.z, result.p_value) == (0, 0, 1)
        assert result.low == pytest.approx(-result.high)
        assert episodes_needed(rate, rate) is None


@pytest.mark.parametrize("rates", [(73.1, 67.3), (78.1, 76.6), (36.7, 77.8)])
def test_the_needed_episodes_are_the_fewest_that_suffice(rates: tuple[float, float]):
    needed = episodes_needed(*rates)
    assert needed is not None
    assert unpaired(*rates, needed).p_value < 0.05 <= unpaired(*rates, needed - 1).p_value


def test_an_average_is_compared_within_its_suites():
    # Of one suite it is the test of two proportions, but for N - 1 in the place of N.
    one, pooled = stratified([(60.0, 50.0)], 100), unpaired(60.0, 50.0, 100)
    assert one.z == pytest.approx(pooled.z * (199 / 200) ** 0.5)
    assert (one.low, one.high) == pytest.approx((pooled.low, pooled.high))
    # The paper's row 2 against 1: as one sample of 1800 it would be 0.006.
    rates = [(73.1, 67.3), (88.0, 82.9), (80.2, 77.8), (27.3, 23.0)]
    assert stratified(rates, 450).p_value == pytest.approx(0.0015, abs=5e-5)


def test_query_time_inverts_the_frames_per_second():
    # 20 ms per token and 100 ms before: 1 action in 10 tokens, 5 in 46.
    time = query_time(1 / 0.3, 5 / 1.02, chunk=5, tokens_per_action=9)
    assert (time.per_token, time.before) == pytest.approx((0.02, 0.1))
    with pytest.raises(ValueError, match="chunk of 1 actions: expected at least two"):
        query_time(2.0, 3.0, chunk=1, tokens_per_action=9)


def test_page_begins_with_its_findings(text):
    assert text.startswith("# Forensics: what the paper's printed numbers say")
    assert len(re.findall("^- ", text, re.MULTILINE)) == 6
    assert text.index("- Differences: ") < text.index("- Episodes: ")  # the main finding first
    unfolded = re.sub("<details>.*?</details>", "", text, flags=re.DOTALL)
    assert unfolded.count("\n") < 45  # two screens


def test_page_says_how_many_episodes_the_rates_give_away(text):
    assert "23 of the 24 distinct rates of tables 3, 5 and 6 are k/450 (9 tasks of 50 rollouts), where chance" in text
    assert "8 of the 8 distinct rates of the rows of WorldVLA in table 2 are k/500 (10 tasks" in text
    assert cells(text, "9", "450")[2:5] == ["45.1 %", "23 of 24", "1e-07"]
    assert cells(text, "10", "500")[2:4] == ["50.0 %", "13 of 24"]
    assert "these are none: 23.0: 115/500." in text


def test_page_writes_every_rate_as_a_count(text):
    counts = text[text.index("| Table   | Row") :]
    assert cells(counts, "Table 3", "1")[2:] == [
        "67.3: 303/450",
        "82.9: 373/450",
        "77.8: 350/450, 389/500",
        "23.0: 115/500",
    ]
    assert cells(counts, "Table 2", "seer")[2:] == ["", "", "", "87.7: neither"]
    assert cells(counts, "Table 5", "with_chunking, frames: 4")[2:] == ["84.7: 381/450", "", "", ""]


def test_page_recomputes_the_averages(text):
    assert "14 of the 14 printed averages" in text
    assert cells(text, "Table 3", "1", "62.8")[3:] == ["62.75", "0.05", "yes"]


def test_page_compares_rows_at_the_papers_own_number_of_episodes(text):
    average = cells(text, "Table 3", "2 against 1", "average")
    assert average[3:7] == ["67.2 and 62.8", "1800", "higher", "+4.4 points"]
    assert average[8:10] == ["0.0015", "0.041"]
    assert "14 still do" in text
    assert cells(text, "Table 3", "5 against 4", "average")[5] == "open"
    object_suite = cells(text, "Table 3", "5 against 4", "object")
    assert (object_suite[5], object_suite[-1]) == ("open", "never")
    assert cells(text, "Table 3", "4 against 3", "spatial")[5] == "higher"
    assert cells(text, "Table 2", "worldvla_512 against openvla", "average")[4] == "2000"


def test_page_holds_the_text_against_the_tables(text):
    claims = text
    assert cells(claims, "the world model helps the action model")[-2:] == ["long, average", "none"]
    assert cells(claims, "chunks without the mask hurt")[3] == "+12.3 (+18 %)"
    assert cells(claims, "chunks without the mask hurt")[-2:] == ["spatial", "long, average"]
    assert cells(claims, "the mask helps chunks")[-2] == "goal, object, average"
    assert cells(text, "10", "250.0")[3:] == ["+5.1", "+2.0 %", "no"]
    assert cells(text, "50", "718.6")[3:] == ["-44.5", "-6.2 %", "no"]


def test_page_infers_the_time_per_token(text):
    assert cells(text, "1", "2.27")[3:] == ["25.6 ms", "184 ms"]
    assert "25.6 to 28.7 ms per decoded token and 121 ms per further frame" in text


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("{rate: 58.4, fps: 2.27}", "{rate: 58.5, fps: 2.27}", "22 of the 24 distinct rates"),
        ("mask: true, goal: 85.1", "mask: true, goal: 95.1", "13 of the 14 printed averages"),
        ("spatial: 84.0, long: 52.4", "spatial: 84.0, long: 72.4", "5 against 4 +6.5 points (p < 0.001, higher)"),
        # Another model's printed average is one of the fourteen.
        (
            "goal: 95.5, long: 91.1, average: 95.4",
            "goal: 95.5, long: 91.1, average: 96.4",
            "13 of the 14 printed averages",
        ),
        ("fvd: 674.1", "fvd: 646.7", "-10.0 % at 50 frames"),
        ("fps: 3.67", "fps: 3.00", "27.2 to 34.1 ms per decoded token"),
    ],
)
def test_another_published_number_is_another_finding(text, changed, old, new, finding):
    findings = changed(old, new).split("\n## ", 1)[0]
    assert finding in findings
    assert finding not in text


def test_uva_is_as_printed():
    assert published.published("table2", "uva")["long"] == 93.0
