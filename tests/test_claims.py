"""The paper's claims: every verdict, what stands in for one, and thresholds that move them."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reporting_inputs import SOLVED, cells, make_project, report_params, section, write_clips, write_rollouts

from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting import claims, first_page, judging, rate_claims, successes, table5
from worldvla.reporting.clips import read_video_metrics
from worldvla.reporting.speed import read_speeds
from worldvla.reporting.successes import NOTHING_SHARED
from worldvla.reporting.verdicts import CLAIMS, Judged, together, verdict

MARGIN = 3.0
HIGHER = CLAIMS["mask_recovers"]
LOWER = CLAIMS["plain_chunks_cost_success"]
DENIED = CLAIMS["two_frames_are_enough"]
EVERY = CLAIMS["world_helps_every_suite"]
SOME_FAILS = CLAIMS["video_fails_some_suite"]
ALL = {(task, init) for task in (0, 1) for init in range(10)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


def judge(project: Path) -> dict[str, Judged]:
    settings = strict.read(ReportParams, project / "report.yaml")
    runs = successes.read_runs(project / "rollouts", settings, judging.ROWS)
    return judging.judge(settings, runs, read_video_metrics(project / "videos", settings))


def pages(project: Path) -> tuple[str, str]:
    """Return the page of the claims and the first page."""
    settings = strict.read(ReportParams, project / "report.yaml")
    metrics = read_video_metrics(project / "videos", settings)
    rows = {**first_page.rows(settings), "claims": judging.ROWS}
    runs = {name: successes.read_runs(project / "rollouts", settings, one) for name, one in rows.items()}
    judged = judging.judge(settings, runs["claims"], metrics)
    claims.write_page(project, settings, runs["claims"], judged)
    speeds = read_speeds(project / "speed", settings, table5.rows(settings))
    first_page.write_page(project, settings, runs, speeds, metrics, judged)
    return (project / "claims.md").read_text(), (project / "README.md").read_text()


def set_solved(project: Path, suite: str = "goal", **solved: int) -> None:
    """Let variants solve this many of the twenty initial states."""
    for variant, num in solved.items():
        write_rollouts(project / "rollouts" / f"{variant}-{suite}-1", variant, suite, set(sorted(ALL)[:num]))


def set_params(project: Path, *changes: tuple[str, str], suites: str = "[goal]") -> None:
    text = report_params(suites)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (project / "report.yaml").write_text(text)


@pytest.mark.parametrize(
    ("claim", "low", "high", "expected"),
    [
        (HIGHER, 0.1, 9.0, "supported"),
        (HIGHER, 0.1, 2.0, "supported"),  # small, but shown
        (HIGHER, -9.0, -0.1, "contradicted"),
        (HIGHER, -2.9, 2.9, "contradicted"),  # shown to be nothing to speak of
        (HIGHER, -3.0, 2.9, "inconclusive"),
        (HIGHER, -2.9, 3.0, "inconclusive"),
        (HIGHER, 0.0, 9.0, "inconclusive"),
        (LOWER, -9.0, -0.1, "supported"),
        (LOWER, 0.1, 9.0, "contradicted"),
        (LOWER, -2.0, 1.0, "contradicted"),
        (LOWER, -9.0, 1.0, "inconclusive"),
        (DENIED, 0.1, 9.0, "contradicted"),
        (DENIED, -9.0, -0.1, "supported"),
        (DENIED, -2.0, 2.0, "supported"),
        (DENIED, 0.1, 2.0, "supported"),  # shown, but nothing to speak of
        (DENIED, -2.0, 9.0, "inconclusive"),
    ],
)
def test_the_interval_decides(claim, low, high, expected):
    assert verdict(claim, low, high, MARGIN) == expected


def test_without_a_margin_no_effect_is_nothing_to_speak_of():
    assert verdict(HIGHER, -0.1, 0.1, 0.0) == "inconclusive"
    assert verdict(HIGHER, 0.0, 0.0, 0.0) == "inconclusive"


YES, NO, OPEN, NONE = "supported", "contradicted", "inconclusive", "not run"


@pytest.mark.parametrize(
    ("claim", "reads", "expected"),
    [
        (EVERY, [YES], YES),
        (EVERY, [YES, YES, NONE, NONE], YES),
        (EVERY, [YES, NO], NO),
        (EVERY, [OPEN, NO], NO),
        (EVERY, [YES, OPEN], OPEN),
        (EVERY, [NONE, NONE], NONE),
        (EVERY, [], NONE),
        (SOME_FAILS, [YES], YES),
        (SOME_FAILS, [NO, YES, OPEN], YES),
        (SOME_FAILS, [NO], OPEN),  # the suites that are left may show it
        (SOME_FAILS, [NO, NO, NO, NONE], OPEN),
        (SOME_FAILS, [NO, NO, NO, NO], NO),
        (SOME_FAILS, [NO, NO, NO, OPEN], OPEN),
        (DENIED, [NO], NO),
        (HIGHER, [OPEN], OPEN),
    ],
)
def test_suites_together_decide_a_claim_about_every_suite(claim, reads, expected):
    assert together(claim, reads) == expected


def test_rates_are_compared_on_the_same_initial_states(project):
    text, first = pages(project)
    assert cells(text, HIGHER.claim)[1:] == [
        "Section 4.2, table 3, row 4 against 3",
        "+22.6 points (goal +4.8, object +8.0, spatial +45.1, long +32.4)",
        "14/20 against 4/20",
        "20",
        "+50.0 points (+22.3 to +67.6)",
        "McNemar, p = 0.002",
        "2 up, 0 down, 0 even",
        "43.1 points",
        "supported",
    ]
    assert cells(first, HIGHER.claim)[1:] == [
        "+22.6 points (goal +4.8)",
        "+50.0 points (+22.3 to +67.6)",
        "20",
        "supported",
    ]


def test_the_papers_goal_suite_is_seen_to_contradict_its_average(project):
    text, first = pages(project)
    assert cells(text, LOWER.claim)[2] == "-8.8 points (goal +12.3, object +0.0, spatial -41.1, long -6.1)"
    assert cells(first, LOWER.claim)[1] == "-8.8 points (goal +12.3)"
    set_solved(project, action=14, action_chunk=4)
    assert judge(project)["plain_chunks_cost_success"].reads == "supported"
    set_solved(project, action=4, action_chunk=14)
    assert judge(project)["plain_chunks_cost_success"].reads == "contradicted"


def test_clips_are_compared_at_our_length_beside_the_papers(project):
    text, first = pages(project)
    row = cells(text, CLAIMS["action_helps_psnr_of_long_clips"].claim)
    assert row[2:6] == ["+0.32 dB", "19.25 against 18.25 dB, 20 frames", "6", "+1.00 dB (+0.99 to +1.01)"]
    assert row[6:] == ["bootstrap over clips", "0.01 dB", "supported"]
    assert cells(text, CLAIMS["action_helps_psnr_of_short_clips"].claim)[2:4] == [
        "+0.15 dB",
        "20.25 against 19.25 dB, 10 frames",
    ]
    assert cells(first, CLAIMS["action_helps_psnr_of_long_clips"].claim)[2:] == [row[5], "6", "supported"]


def test_a_substitute_for_fvd_judges_nothing_and_fvd_has_no_test(project):
    claim = CLAIMS["action_helps_fvd_of_long_clips"].claim
    assert cells(pages(project)[0], claim)[2:] == ["-44.5", "not computed: weights absent", *[""] * 4, "not run"]
    write_clips(project / "videos" / "goal", extractor="FVD")
    assert cells(pages(project)[0], claim)[3:] == [
        "300.5 against 301.5 (goal), 20 frames",
        "6",
        "no interval",
        "none",
        "",
        "inconclusive",
    ]


def test_one_clip_has_no_interval(project):
    write_clips(project / "videos" / "goal", num_clips=1)
    text, first = pages(project)
    claim = CLAIMS["action_helps_psnr_of_long_clips"].claim
    assert cells(text, claim)[3:] == ["one clip: no interval", "1", "", "", "", "inconclusive"]
    assert cells(first, claim)[2:] == ["one clip: no interval", "1", "inconclusive"]


def test_clips_without_a_score_or_of_one_model_alone_are_not_run(project):
    path = project / "videos" / "goal" / "clips.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([row | {"psnr": math.nan} for row in rows], table.schema), path)
    key = "action_helps_psnr_of_long_clips"
    assert [judge(project)[key].reads, judge(project)[key].outcomes[0].ours] == [
        NONE,
        "not a number in 12 of 12 scores",
    ]
    pq.write_table(pa.Table.from_pylist([row for row in rows if row["source"] != "world-1"], table.schema), path)
    models = path.with_name("models.json")
    models.write_text(models.read_text().replace('"world-1"', '"world-9"'))
    assert judge(project)[key].outcomes[0].ours == "missing: run `dvc repro generate@world-goal-1`"
    path.unlink()
    assert judge(project)[key].outcomes[0].ours == "missing: run `dvc repro video_metrics@goal`"
    (project / "report.yaml").write_text(report_params(horizons="[50]"))
    assert judge(project)["action_helps_psnr_of_short_clips"].outcomes[0].ours == "no clips of this length"


def test_clips_of_all_suites_are_judged_together(project):
    set_params(project, suites="[goal, spatial]")
    assert judge(project)["action_helps_psnr_of_long_clips"].reads == NONE  # spatial has none yet
    write_clips(project / "videos" / "spatial")
    assert judge(project)["action_helps_psnr_of_long_clips"].num == 12


def test_a_claim_without_data_is_not_run(project):
    text, first = pages(project)
    assert cells(first, CLAIMS["joint_without_chunks"].claim)[-2:] == ["", "not run"]
    assert cells(text, CLAIMS["joint_without_chunks"].claim)[3] == "not run"  # not among the variants
    (project / "rollouts" / "action_from_world-goal-1" / "episodes.parquet").unlink()
    row = cells(pages(project)[0], CLAIMS["world_pretraining"].claim)
    assert row[3] == "missing: run `dvc repro rollout@action_from_world-goal-1`"
    assert row[-1] == "not run"


def test_runs_without_a_common_initial_state_are_not_judged(project):
    write_rollouts(project / "rollouts" / "action_from_world-goal-1", "action_from_world", suite="elsewhere")
    one = judge(project)["world_pretraining"]
    assert (one.reads, one.num, one.outcomes[0].ours) == (NONE, 0, NOTHING_SHARED)


def test_one_of_two_suites_contradicts_a_claim_about_every_suite(project):
    set_params(project, suites="[goal, spatial]")
    for variant in SOLVED:
        write_rollouts(project / "rollouts" / f"{variant}-spatial-1", variant, "spatial")
    set_solved(project, action_world_chunk_mask=18, action_chunk_mask=6, action_video_chunk_mask=18)
    set_solved(project, "spatial", action_world_chunk_mask=6, action_chunk_mask=18, action_video_chunk_mask=6)
    judged = judge(project)
    assert judged["world_helps_every_suite"].words == "contradicted: 2 of 4 suites"
    assert [outcome.reads for outcome in judged["world_helps_every_suite"].outcomes] == [YES, NO]
    assert judged["video_fails_some_suite"].words == "supported: 2 of 4 suites"
    assert [outcome.reads for outcome in judged["video_fails_some_suite"].outcomes] == [NO, YES]
    assert judged["joint_with_chunks"].reads == "inconclusive"  # the average of both
    text, first = pages(project)
    row = cells(text, EVERY.claim)
    assert (row[4], row[-1]) == ("40", "contradicted: 2 of 4 suites")
    assert cells(text, "on spatial")[3:5] == ["6/20 against 18/20", "20"]
    assert cells(text, "on spatial")[-1] == "contradicted"
    assert cells(first, EVERY.claim)[2].startswith("goal: +60.0 points (")
    assert cells(first, EVERY.claim)[3:] == ["40", "contradicted: 2 of 4 suites"]
    assert cells(text, CLAIMS["joint_with_chunks"].claim)[3:5] == ["24/40 against 24/40", "40"]
    assert cells(text, CLAIMS["joint_with_chunks"].claim)[7] == "2 up, 2 down, 0 even"


def test_a_suite_that_did_not_run_is_not_counted(project):
    set_params(project, suites="[goal, spatial]")
    set_solved(project, action_world_chunk_mask=18, action_chunk_mask=6)
    judged = judge(project)
    assert judged["world_helps_every_suite"].words == "supported: 1 of 4 suites"
    assert judged["joint_with_chunks"].reads == NONE  # the average needs every suite of params.yaml


def test_video_prediction_that_helps_on_the_only_suite_leaves_the_claim_open(project):
    set_solved(project, action_video_chunk_mask=18, action_chunk_mask=6)
    one = judge(project)["video_fails_some_suite"]
    assert (one.outcomes[0].reads, one.words) == (NO, "inconclusive: 1 of 4 suites")


def test_thresholds_change_verdicts(project):
    set_solved(project, action_chunk_mask=14, action_world_chunk_mask=14)
    assert judge(project)["joint_with_chunks"].reads == "inconclusive"
    set_params(project, ("margin_points: 3.0", "margin_points: 30.0"))
    assert judge(project)["joint_with_chunks"].reads == "contradicted"
    write_clips(project / "videos" / "goal")
    path = project / "videos" / "goal" / "clips.parquet"
    table = pq.read_table(path)
    rows = [row | {"psnr": 20 + 0.01 * index % 0.03} for index, row in enumerate(table.to_pylist())]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    assert judge(project)["action_helps_psnr_of_long_clips"].reads == "contradicted"
    set_params(project, ("margin_db: 0.1", "margin_db: 0.0"))
    assert judge(project)["action_helps_psnr_of_long_clips"].reads == "inconclusive"


def test_more_power_asks_for_a_larger_effect(project):
    set_params(project, ("power: 0.8", "power: 0.95"))
    text, _ = pages(project)
    assert cells(text, HIGHER.claim)[8] == "48.5 points"  # 43.1 with the power 0.8
    assert "with a chance of 0.95" in section(text, "Success rates")


def test_so_few_episodes_show_no_effect(project):
    for variant in ("action", "action_from_world"):
        folder = project / "rollouts" / f"{variant}-goal-1"
        table = pq.read_table(folder / "episodes.parquet")
        pq.write_table(table.slice(0, 5), folder / "episodes.parquet")
    row = cells(pages(project)[0], CLAIMS["world_pretraining"].claim)
    assert (row[4], row[8]) == ("5", "none: too few episodes")


def test_the_first_line_counts_all_claims(project):
    for text in pages(project):
        assert f"Of {len(CLAIMS)} claims: 9 supported, 0 contradicted, 6 inconclusive, 0 not judged, 2 not run." in text
        # Twelve pairs of variants, two of them in two claims; four variants at once; two lengths of clips.
        assert "comparisons made here: 15." in text
        assert "all trainings together, not over trainings" in text
    assert "[claims](claims.md)" in pages(project)[1]
    (project / "rollouts").rename(project / "elsewhere")
    (project / "videos").rename(project / "no_videos")
    assert f"0 supported, 0 contradicted, 0 inconclusive, 0 not judged, {len(CLAIMS)} not run." in pages(project)[0]


def test_the_mask_is_judged_at_every_length(project):
    text, first = pages(project)
    claim = CLAIMS["mask_at_every_chunk_length"].claim
    assert cells(text, claim)[4:] == ["60", "", "", "", "", "inconclusive: 3 of 3 lengths"]
    assert cells(text, "at 3 actions")[3:5] == ["12/20 against 10/20", "20"]
    assert cells(text, "at 10 actions")[-1] == "supported"
    assert cells(first, claim)[2].startswith("3 actions: +10.0 points (-5.7 to +24.5); 5 actions: +50.0 points (")
    key = "mask_at_every_chunk_length"
    set_solved(project, action_chunk_mask_k3=18)
    assert judge(project)[key].words == "supported: 3 of 3 lengths"
    set_solved(project, action_chunk_mask_k3=1)
    assert judge(project)[key].words == "contradicted: 3 of 3 lengths"
    (project / "rollouts" / "action_chunk_mask_k3-goal-1" / "episodes.parquet").unlink()
    assert judge(project)[key].words == "supported: 2 of 3 lengths"
    assert judge(project)[key].outcomes[0].ours == "missing: run `dvc repro rollout@action_chunk_mask_k3-goal-1`"


def test_the_gain_is_compared_between_the_longest_and_the_shortest_chunks(project):
    key = "mask_gain_grows"
    row = cells(pages(project)[0], CLAIMS[key].claim)
    assert row[3:] == [
        "10 actions: +80.0 points; 3 actions: +10.0 points",
        "20",
        "+70.0 points (+50.0 to +90.0)",
        "bootstrap over initial states",
        "2 up, 0 down, 0 even",
        "29.5 points",
        "supported",
    ]
    set_solved(project, action_chunk_k3=1, action_chunk_mask_k3=20, action_chunk_k10=9)
    assert judge(project)[key].reads == "contradicted"
    (project / "rollouts" / "action_chunk_k3-goal-1" / "episodes.parquet").unlink()
    assert judge(project)[key].outcomes[0].ours.endswith("; 5 actions: +50.0 points")
    (project / "rollouts" / "action_chunk-goal-1" / "episodes.parquet").unlink()
    assert judge(project)[key].outcomes[0].ours == "missing: run `dvc repro rollout@action_chunk_k3-goal-1`"
    assert judge(project)[key].reads == NONE


def test_a_gain_without_any_spread_has_no_interval(project):
    set_solved(project, action_chunk_k3=5, action_chunk_mask_k3=9, action_chunk_k10=5, action_chunk_mask_k10=9)
    one = judge(project)["mask_gain_grows"]
    assert (one.reads, one.outcomes[0].effect, one.num) == (OPEN, rate_claims.ALL_THE_SAME, 20)


def test_chunks_of_one_length_tell_nothing_of_growth(project):
    for length in (10, 1):
        chunks = [f"goal: {number}, spatial: {number}, long: {other}" for number, other in ((5, 10), (3, 3), (10, 10))]
        same = f"goal: {length}, spatial: {length}, long: {length}"
        set_params(project, *[(before, same) for before in chunks if before != same])
        judged = judge(project)
        assert (judged["mask_gain_grows"].reads, judged["mask_gain_grows"].outcomes[0].ours) == (
            NONE,
            rate_claims.ONE_LENGTH,
        )
        expected = "inconclusive: 1 of 1 lengths" if length > 1 else NONE
        assert judged["mask_at_every_chunk_length"].words == expected
    assert judged["mask_at_every_chunk_length"].outcomes[0].ours == rate_claims.NO_LENGTHS


def test_lengths_are_judged_over_all_suites_together(project):
    set_params(project, suites="[goal, long]")
    for variant in SOLVED:
        write_rollouts(project / "rollouts" / f"{variant}-long-1", variant, "long")
    one = judge(project)["mask_at_every_chunk_length"]
    assert [(outcome.length, outcome.num) for outcome in one.outcomes] == [
        ("3 actions", 40),
        ("5 or 10 actions", 40),
        ("10 actions", 40),
    ]
    assert judge(project)["mask_gain_grows"].num == 40


def test_one_frame_is_too_few_and_four_are_no_better(project):
    judged = judge(project)
    assert judged["one_frame_is_too_few_without_chunks"].reads == "supported"
    assert judged["one_frame_is_too_few_with_chunks"].outcomes[0].ours == "14/20 against 8/20"
    assert judged["two_frames_are_enough"].reads == OPEN
    set_solved(project, action_chunk_mask_h4=20, action_chunk_mask=6)
    assert judge(project)["two_frames_are_enough"].reads == NO
    set_solved(project, action_chunk_mask_h4=6, action_chunk_mask=20)
    assert judge(project)["two_frames_are_enough"].reads == YES


def test_a_claim_about_frames_is_not_judged_by_runs_with_others(project):
    set_params(project, ("history: 2", "history: 3"))
    for key in ("one_frame_is_too_few_without_chunks", "two_frames_are_enough"):
        one = judge(project)[key]
        assert one.reads == NONE
        assert "has a history of 3, the claim is about 2" in one.outcomes[0].ours


def test_no_verdict_stands_without_its_n(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    set_params(project, suites="[goal, spatial]")
    write_rollouts(project / "rollouts" / "action-spatial-1", "action", "spatial")
    for judged in (judge(project), judge(make_project(other))):
        for one in judged.values():
            assert (one.num > 0) == (one.reads != "not run")
            assert all((outcome.num > 0) == (outcome.reads != "not run") for outcome in one.outcomes)


def test_the_same_runs_give_the_same_pages(project, tmp_path_factory):
    assert pages(project) == pages(make_project(tmp_path_factory.mktemp("again")))


@pytest.mark.parametrize("key", CLAIMS)
def test_the_papers_own_numbers_support_its_claim(key):
    claim = CLAIMS[key]
    assert claim.paper or claim.says
    assert (claim.metric != "" and claim.frames in (10, 50)) == (claim.kind == "clips")
    if claim.paper:
        gain = float(claims._paper(claim, ()).split()[0])
        assert verdict(claim, gain, gain, 0.1 if claim.kind == "clips" else MARGIN) == "supported"


def test_every_claim_stands_once_and_its_runs_are_read():
    assert len({claim.claim for claim in CLAIMS.values()}) == len(CLAIMS)
    assert {row.variant for row in judging.ROWS} == {"action_world", *SOLVED} - {"action_h4"}
