"""The paper's claims: every verdict, what stands in for one, and thresholds that move them."""

import math
import statistics
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reporting_inputs import SOLVED, cells, make_project, report_params, write_clips, write_reports, write_rollouts
from scipy.stats import t, ttest_ind

from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting.inference import measured
from worldvla.reporting.inference.claims import (
    CLAIMS,
    NO_LENGTHS,
    Claim,
    Judged,
    Outcome,
    judge,
    paper_effect,
    together,
    verdict,
)
from worldvla.reporting.inputs.clips import read_video_metrics
from worldvla.reporting.inputs.runs import SUITES, Rollouts
from worldvla.reporting.pages.claims import counted, tally
from worldvla.reporting.words import p

MARGIN = 3.0
HIGHER = CLAIMS["mask_recovers"]
LOWER = CLAIMS["plain_chunks_cost_success"]
DENIED = CLAIMS["two_frames_are_enough"]
EVERY = CLAIMS["world_helps_every_suite"]
SOME_FAILS = CLAIMS["video_fails_some_suite"]
GROWS = CLAIMS["mask_gain_grows"]
ALL = sorted((task, init) for task in (0, 1) for init in range(10))
TRAININGS = (1, 2, 3)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of three trainings of each variant, which solve one state less, as many, and one more of twenty."""
    make_project(tmp_path)
    for variant, solved in SOLVED.items():
        set_solved(tmp_path, "goal", 1, **{variant: 2 * solved})
    write_clips(tmp_path / "videos" / "goal", trainings=TRAININGS)
    set_params(tmp_path)
    return tmp_path


def set_solved(project: Path, suite: str = "goal", spread: int = 1, **solved: int) -> None:
    """Let the trainings of variants solve about this many of the twenty initial states."""
    for variant, num in solved.items():
        for number, shift in zip(TRAININGS, (-spread, 0, spread), strict=True):
            states = set(ALL[: min(20, max(0, num + shift))])
            write_rollouts(project / "rollouts" / f"{variant}-{suite}-{number}", variant, suite, states)


def set_params(project: Path, *changes: tuple[str, str], suites: str = "[goal]", least: int = 3) -> None:
    text = report_params(suites, trainings=str(list(TRAININGS)), least=least)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (project / "report.yaml").write_text(text)


def judged(project: Path) -> dict[str, Judged]:
    settings = strict.read(ReportParams, project / "report.yaml")
    return judge(settings, Rollouts(project / "rollouts", settings), read_video_metrics(project / "videos", settings))


@pytest.mark.parametrize(
    ("claim", "low", "high", "expected"),
    [
        (HIGHER, 0.1, 9.0, "holds"),
        (HIGHER, 0.1, 2.0, "holds"),  # small, but shown
        (HIGHER, -9.0, -0.1, "opposite"),
        (HIGHER, -2.9, 2.9, "too small to matter"),
        (HIGHER, -3.0, 2.9, "open"),
        (HIGHER, -2.9, 3.0, "open"),
        (HIGHER, 0.0, 9.0, "open"),
        (LOWER, -9.0, -0.1, "holds"),
        (LOWER, 0.1, 9.0, "opposite"),
        (LOWER, -2.0, 1.0, "too small to matter"),
        (LOWER, -9.0, 1.0, "open"),
        (DENIED, 0.1, 9.0, "opposite"),
        (DENIED, -9.0, -0.1, "holds"),
        (DENIED, -9.0, 2.0, "holds"),  # no better, by how much worse it may be
        (DENIED, 0.1, 2.0, "holds"),  # better, but by less than matters
        (DENIED, -2.0, 9.0, "open"),
    ],
)
def test_the_interval_over_trainings_decides(claim: Claim, low, high, expected):
    assert verdict(claim, low, high, MARGIN) == expected


YES, NO, OPEN, FEW, NONE = "holds", "opposite", "open", "too few trainings", "not run"
SMALL = "too small to matter"


@pytest.mark.parametrize(
    ("claim", "verdicts", "whole", "expected"),
    [
        (EVERY, [YES], False, OPEN),  # one suite is not every suite
        (EVERY, [YES, YES, YES, YES], True, YES),
        (EVERY, [YES, YES, NONE, YES], True, OPEN),
        (EVERY, [YES, NO], False, NO),
        (EVERY, [OPEN, NO], False, NO),
        (EVERY, [YES, SMALL, YES, YES], True, SMALL),  # an effect that is too small is none
        (EVERY, [SMALL, NO], False, NO),
        (EVERY, [FEW, NONE], False, FEW),
        (EVERY, [NONE, NONE], False, NONE),
        (SOME_FAILS, [YES], False, YES),
        (SOME_FAILS, [NO, YES, OPEN], False, YES),
        (SOME_FAILS, [NO], False, OPEN),  # the suites that are left may show it
        (SOME_FAILS, [NO, NO, NO, NO], True, NO),
        (SOME_FAILS, [NO, NO, NO, OPEN], True, OPEN),
        (HIGHER, [NO], True, NO),
        (HIGHER, ["too small to matter"], True, "too small to matter"),
        (GROWS, [YES, YES], True, YES),
        (GROWS, [YES, NO], True, OPEN),
        (GROWS, [NO, OPEN], True, OPEN),
    ],
)
def test_parts_decide_a_claim_about_every_part(claim, verdicts, whole, expected):
    assert together(claim, verdicts, whole) == expected


def test_the_sample_is_the_trainings(project):
    (outcome,) = judged(project)["mask_recovers"].outcomes
    effect = outcome.effect
    assert effect is not None
    assert effect.trainings is not None
    expected = ttest_ind([65, 70, 75], [15, 20, 25], equal_var=False)
    assert effect.trainings.p_value == pytest.approx(expected.pvalue)
    assert (effect.trainings.low, effect.trainings.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert (effect.value, effect.num, effect.num_trainings) == (pytest.approx(50), 20, (3, 3))
    assert effect.beside is not None
    # Twenty states, not sixty episodes: as wide as with one training each.
    assert effect.beside == pytest.approx((22.4, 67.6), abs=1.5)
    assert outcome.inside == "no"  # the paper's +4.8 of the goal suite


def test_trainings_that_spread_leave_a_claim_open(project):
    set_solved(project, spread=8, action_chunk_mask=13, action_chunk=8)
    one = judged(project)["mask_recovers"]
    assert one.verdict == "open"
    assert one.outcomes[0].inside == "yes"


def test_fewer_trainings_than_are_asked_for_give_no_verdict(project):
    set_params(project, least=4)
    found = judged(project)
    assert {one.verdict for one in found.values()} == {"too few trainings", "not run"}
    assert found["mask_recovers"].outcomes[0].why == "3 trainings per arm; expected 4"
    text = report_params(trainings="[1, 2, 3]", least=3)
    begin = text.index("    action_chunk_mask:")
    (project / "report.yaml").write_text(text[:begin] + text[begin:].replace("[1, 2, 3], once", "[1], once", 1))
    one = judged(project)["mask_recovers"]
    assert (one.verdict, one.outcomes[0].why) == ("too few trainings", "1 and 3 trainings per arm; expected 3")
    assert one.outcomes[0].effect is not None
    assert one.outcomes[0].effect.beside is not None  # over initial states, as it is called


def test_trainings_that_do_not_differ_have_no_interval(project):
    set_solved(project, spread=0, action_chunk_mask=14, action_chunk=4)
    one = judged(project)["mask_recovers"]
    assert (one.verdict, one.outcomes[0].why) == ("open", "no two trainings differ: no interval")


def test_power_says_what_so_many_trainings_find_and_how_many_the_papers_effect_needs(project):
    params = strict.read(ReportParams, project / "report.yaml")
    one = judged(project)["mask_recovers"].outcomes[0]
    assert one.power(params) == "15.4 points; +4.8 points needs 19"  # of a spread of five points


def test_the_margin_is_below_the_papers_effect(project):
    outcomes = {key: one.outcomes[0] for key, one in judged(project).items() if one.outcomes[0].effect}
    assert outcomes["joint_with_chunks"].margin == pytest.approx(0.35)  # half of +0.7
    assert outcomes["mask_recovers"].margin == pytest.approx(2.4)
    assert outcomes["masked_chunks_beat_single_actions"].margin == 3.0
    assert outcomes["two_frames_are_enough"].margin == 3.0
    assert outcomes["action_helps_psnr_of_short_clips"].margin == pytest.approx(0.075)
    for key, outcome in outcomes.items():
        assert outcome.paper is None or CLAIMS[key].denied or outcome.margin < abs(outcome.paper)


def test_claims_on_the_same_comparison_count_once(project):
    found = judged(project)
    assert found["world_helps_every_suite"].same_as == "joint_with_chunks"
    assert "world_helps_every_suite" not in counted(found)
    assert not any(one.claim.control for one in counted(found).values())
    assert tally(found).startswith(f"Of {len(CLAIMS) - 4} claims: ")
    assert tally(found).endswith("Not counted: 3 controls of ours, and 1 that rest on the comparison of another.")


def test_ours_are_corrected_after_holm_too(project):
    found = judged(project)
    tested = {one.compared: one for each in found.values() for one in each.outcomes if one.corrected is not None}
    p_values = {key: one.effect.trainings.p_value for key, one in tested.items() if one.effect and one.effect.trainings}
    smallest = min(p_values, key=lambda key: p_values[key])
    assert tested[smallest].corrected == pytest.approx(min(1, len(tested) * p_values[smallest]))
    set_solved(project, action_chunk_mask=14, action_world_chunk_mask=17)
    one = judged(project)["joint_with_chunks"]
    assert one.verdict == "holds"
    assert "not after Holm's correction" in one.words


@pytest.mark.parametrize(
    ("claim", "reads", "p_values", "falls"),
    [
        (HIGHER, YES, [0.06], True),
        (HIGHER, YES, [0.04], False),
        (DENIED, YES, [1.0], False),  # that it lies below the margin is no test against zero
        (DENIED, NO, [0.06], True),
        (EVERY, NO, [0.001, 0.06], False),  # one suite is enough against it
        (EVERY, NO, [0.07, 0.06], True),
        (EVERY, YES, [0.001, 0.06], True),  # each is needed
        (SOME_FAILS, NO, [0.001, 0.06], True),
        (SOME_FAILS, YES, [1.0, 1.0], False),
    ],
)
def test_what_the_correction_takes_away_is_said(claim, reads, p_values, falls):
    outcomes = [Outcome(str(place), reads, (place,), corrected=p) for place, p in enumerate(p_values)]
    assert ("not after Holm's correction" in Judged(claim, outcomes, reads).words) == falls


def test_what_is_confounded_says_so(project):
    assert "the first trained 2 times as long" in judged(project)["world_pretraining"].words
    set_params(
        project,
        ("    action_world_chunk_mask: {samples: [action]", "    action_world_chunk_mask: {samples: [action, world]"),
    )
    assert "the first trained 2 times as long" in judged(project)["joint_with_chunks"].words


def test_every_suite_needs_every_suite(project):
    set_solved(project, action_world_chunk_mask=17, action_chunk_mask=8)
    one = judged(project)["world_helps_every_suite"]
    assert (one.outcomes[0].verdict, one.words) == ("holds", "open: 1 of 4 suites")
    set_params(project, suites=f"[{', '.join(SUITES)}]")
    for suite in SUITES:
        set_solved(project, suite, action_world_chunk_mask=17, action_chunk_mask=8, action_video_chunk_mask=17)
    found = judged(project)
    assert found["world_helps_every_suite"].words.startswith("holds: 4 of 4 suites")
    assert found["video_fails_some_suite"].verdict == "opposite"
    assert found["joint_with_chunks"].outcomes[0].paper == pytest.approx(1.5)  # the paper's own average
    set_solved(project, "long", action_world_chunk_mask=3, action_video_chunk_mask=3)
    found = judged(project)
    assert found["world_helps_every_suite"].verdict == "opposite"
    assert found["video_fails_some_suite"].verdict == "holds"
    assert found["joint_with_chunks"].verdict == "holds"  # the average
    (project / "rollouts" / "action_chunk_mask-long-2" / "episodes.parquet").unlink()
    assert judged(project)["joint_with_chunks"].verdict == NONE


def test_every_length_needs_every_length(project):
    set_solved(project, action_chunk_mask_k3=18)
    one = judged(project)["mask_at_every_chunk_length"]
    assert one.words.startswith("holds: 3 of 3 lengths")
    assert [outcome.place for outcome in one.outcomes] == ["3 actions", "5 actions", "10 actions"]
    set_solved(project, action_chunk_mask_k3=2)
    assert judged(project)["mask_at_every_chunk_length"].verdict == NO
    (project / "rollouts" / "action_chunk_mask_k3-goal-1" / "episodes.parquet").unlink()
    one = judged(project)["mask_at_every_chunk_length"]
    assert (one.verdict, one.part) == (OPEN, "2 of 3 lengths")
    assert one.outcomes[0].why == "missing: run `dvc repro rollout@action_chunk_mask_k3-goal-1`"


def test_growth_is_judged_in_points_and_in_log_odds(project):
    assert judged(project)["mask_gain_grows"].verdict == "holds"
    # From a half to nine tenths, and from nothing to a quarter: fewer points, more odds.
    set_solved(project, action_chunk_k3=10, action_chunk_mask_k3=17, action_chunk_k10=1, action_chunk_mask_k10=5)
    one = judged(project)["mask_gain_grows"]
    points, odds = one.outcomes
    assert points.effect is not None
    assert odds.effect is not None
    assert points.effect.value < 0 < odds.effect.value
    assert points.effect.means == pytest.approx((20.0, 35.0))  # what the mask gains with ten actions, and with three
    assert points.effect.beside is None  # of states that both pairs share
    odds_of = {num: [math.log((one + 0.5) / (20.5 - one)) for one in (num - 1, num, num + 1)] for num in (1, 5, 10, 17)}
    mean = {num: sum(found) / 3 for num, found in odds_of.items()}
    assert odds.effect.value == pytest.approx(mean[5] - mean[1] - (mean[17] - mean[10]))
    assert odds.effect.trainings is not None
    error = math.sqrt(sum(statistics.variance(found) / 3 for found in odds_of.values()))
    half = (odds.effect.trainings.high - odds.effect.trainings.low) / 2
    assert half == pytest.approx(t.ppf(0.975, odds.effect.trainings.degrees) * error)
    assert (points.place, odds.place, one.verdict) == ("points", "log odds", OPEN)
    same = "goal: 10, spatial: 10, long: 10"
    set_params(project, ("goal: 5, spatial: 5, long: 10", same), ("goal: 3, spatial: 3, long: 3", same))
    found = judged(project)
    assert found["mask_gain_grows"].outcomes[0].why == NO_LENGTHS
    assert found["mask_gain_grows"].same_as == ""


def test_two_claims_more_of_the_paper(project):
    found = judged(project)
    assert found["four_frames_help_without_chunks"].outcomes[0].paper == pytest.approx(11.4)
    assert found["too_long_chunks_hurt"].verdict == "opposite"
    set_params(project, ("goal: 10, spatial: 10, long: 10", "goal: 5, spatial: 5, long: 10"))
    assert "not longer chunks" in judged(project)["too_long_chunks_hurt"].outcomes[0].why


def test_a_claim_about_frames_is_not_judged_by_runs_with_others(project):
    set_params(project, ("history: 2", "history: 3"))
    one = judged(project)["two_frames_are_enough"]
    assert one.verdict == NONE
    assert one.outcomes[0].why == "`action_chunk_mask` has a history of 3; the claim is about 2"


def test_the_larger_images_are_the_first(project):
    assert judged(project)["higher_resolution"].verdict == YES
    set_params(project, ("pixels: 32", "pixels: 96"))
    assert judged(project)["higher_resolution"].verdict == NO


def test_clips_are_compared_over_trainings_and_by_ssim_too(project):
    one = judged(project)["action_helps_psnr_of_long_clips"].outcomes[0]
    assert one.effect is not None
    assert (one.effect.value, one.effect.num_trainings) == (pytest.approx(1.0), (3, 3))
    assert one.effect.trainings is not None
    expected = ttest_ind([1, 2, 3], [0, 1, 2], equal_var=False)
    assert one.effect.trainings.p_value == pytest.approx(expected.pvalue)
    assert one.effect.beside == pytest.approx((0.99, 1.01), abs=0.005)
    assert one.also.startswith("SSIM +2.5 x100 (")
    assert judged(project)["action_helps_fvd_of_long_clips"].outcomes[0].why == measured.NO_SCORE
    write_clips(project / "videos" / "goal", trainings=TRAININGS, extractor="FVD")
    fvd = judged(project)["action_helps_fvd_of_long_clips"].outcomes[0]
    assert fvd.effect is not None
    assert (fvd.effect.value, fvd.effect.beside, fvd.verdict) == (pytest.approx(-1.0), None, OPEN)


def test_clips_that_are_missing_or_not_scored_are_not_run(project):
    key = "action_helps_psnr_of_long_clips"
    path = project / "videos" / "goal" / "clips.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([row | {"psnr": math.nan} for row in table.to_pylist()], table.schema), path)
    assert judged(project)[key].outcomes[0].why == "not a number in 36 of 36 scores"
    models = path.with_name("models.json")
    models.write_text(models.read_text().replace('"world-1"', '"world-9"'))
    assert judged(project)[key].outcomes[0].why == "missing: run `dvc repro generate@world-goal-1`"
    path.unlink()
    assert judged(project)[key].outcomes[0].why == "missing: run `dvc repro video_metrics@goal`"
    (project / "report.yaml").write_text(report_params(horizons="[50]"))
    assert judged(project)["action_helps_psnr_of_short_clips"].outcomes[0].why == "no clips of this length"


def test_no_verdict_stands_without_its_numbers(project):
    for one in judged(project).values():
        for outcome in one.outcomes:
            assert (outcome.effect is None) == (outcome.verdict == NONE)
            assert outcome.effect is not None or outcome.why


def test_three_sentences_name_what_holds_what_is_open_and_what_is_opposite(project):
    folder = write_reports(project)
    text = (folder / "README.md").read_text()
    assert "**What holds:** joint training, masked chunks" not in text
    assert "action mask v plain mask; " in text.split("**What holds:**")[1].split("\n")[0]
    assert "masked chunks, longest v usual" in text.split("**What came out the other way:**")[1].split("\n")[0]
    row = cells((folder / "claims.md").read_text(), "holds", f"{HIGHER.claim}; {HIGHER.where}")
    assert row[2] == "+50.0 points; 70.0 against 20.0, n = 20"
    (outcome,) = judged(project)["mask_recovers"].outcomes
    assert outcome.corrected is not None
    assert row[5:] == ["+4.8", "no", p(outcome.corrected), "15.4 points; +4.8 points needs 19"]
    assert "Recipes were tuned on initial states that are reported." in (folder / "claims.md").read_text()


@pytest.mark.parametrize("key", CLAIMS)
def test_the_papers_own_numbers_make_its_claim_hold(key):
    claim = CLAIMS[key]
    assert claim.paper or claim.says
    assert (claim.metric != "") == (claim.frames in (10, 50))
    gain = (
        paper_effect(claim, SUITES)
        if not claim.paper or claim.paper[0][0] != "table5"
        else paper_effect(claim, ["goal"])
    )
    assert (gain is not None) == bool(claim.paper)
    if gain is not None:
        assert verdict(claim, gain, gain, MARGIN if claim.denied else 0) == "holds"


def test_every_claim_stands_once():
    for name in ("claim", "short"):
        assert len({getattr(claim, name) for claim in CLAIMS.values()}) == len(CLAIMS)
