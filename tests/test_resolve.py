"""``resolve``: effective values, and bytes that change only with a value."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from resolve_project import REPOSITORY, SCALES, copy_project, edit, faults, resolved

from worldvla.params import strict
from worldvla.params.benchmarks import SUITES
from worldvla.params.report import ReportParams
from worldvla.params.resolve import SECTIONS
from worldvla.params.trainings import training_seed
from worldvla.params.unsolved import UNSOLVED
from worldvla.simulation.tasks import task_names

EXPERIMENT = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
SEVERAL = {**EXPERIMENT["variants"], **EXPERIMENT["finetune"]}
VARIANTS = {**SEVERAL, **EXPERIMENT["once"], **EXPERIMENT["other_pixels"]}


def runs(name: str) -> set[str]:
    """Return the names of the runs of a variant on the goal suite."""
    return {f"{name}-goal-{number}" for number in (EXPERIMENT["trainings"] if name in SEVERAL else [1])}


def runs_of(names: Iterable[str]) -> set[str]:
    return set().union(*map(runs, names))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with a copy of params.yaml and conf/."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
class TestResolve:
    @pytest.mark.parametrize("scale", SCALES)
    def test_every_stage_can_read_its_section(self, scale):
        edit("params.yaml", scale=scale)
        files = resolved()
        assert set(files) == {"goal", "goal-main", "goal-other", *runs_of(VARIANTS), "report"}
        for name, text in files.items():
            path = Path(f"{name}.yaml")
            path.write_text(text)
            for section in strict.read_yaml(path):
                strict.read({**SECTIONS, "report": ReportParams}[section], path)

    def test_a_chunk_reaches_the_chunked_runs_only(self):
        before = resolved()
        edit("params.yaml", chunk=10)
        after = resolved()
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {*runs_of(name for name, one in VARIANTS.items() if one["chunk"] is None), "report"}

    def test_a_history_reaches_the_runs_without_one_of_their_own(self):
        before = resolved()
        edit("params.yaml", history=3)
        after = resolved()
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {*runs_of(name for name, one in VARIANTS.items() if one["history"] is None), "report"}

    def test_the_default_chunk_written_out_changes_nothing(self):
        before = resolved()
        edit("params.yaml", chunk=5)
        assert resolved() == before

    def test_the_long_suite_has_chunks_of_ten(self):
        edit("params.yaml", benchmark="libero", suites=["goal", "long"], demonstrations="hub", looks="published")
        files = resolved()
        chunks = {
            name: yaml.safe_load(files[name])["train"]["chunk"]
            for name in ("action-goal-1", "action_chunk-goal-1", "action-long-1", "action_chunk_mask-long-1")
        }
        assert list(chunks.values()) == [1, 5, 1, 10]
        report = yaml.safe_load(files["report"])["report"]
        assert report["variants"]["action_chunk"]["chunk"] == {"goal": 5, "long": 10}

    def test_a_released_checkpoint_has_files_of_its_own_and_changes_none_but_the_report(self):
        edit("params.yaml", benchmark="libero", suites=["goal", "long"], demonstrations="hub", looks="published")
        before = resolved()
        edit("params.yaml", released=["released_512"])
        files = resolved()
        assert {name for name in files if files[name] != before.get(name)} == {
            "released_512",
            "released_512-goal",
            "released_512-long",
            "report",
        }
        assert yaml.safe_load(files["released_512"]) == {"released_tokenizer": {"pixels": 512}}
        sections = yaml.safe_load(files["released_512-long"])
        assert sections["released_model"] == {
            "folder": "model_512/libero_10",
            "chunk": 10,
            "history": 2,
            "mask": "action",
        }
        rollout = sections["rollout"]
        assert (rollout["no_bin"], rollout["pixels"], rollout["chunk"], rollout["max_steps"]) == ("clamp", 512, 10, 520)
        assert yaml.safe_load(files["report"])["report"]["released"] == ["released_512"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"released": ["released_225"]},
                "params.yaml: released[0] is 'released_225'; did you mean 'released_256'?",
            ),
            ({"released": ["released_256"] * 2}, "expected each checkpoint once"),
            ({"benchmark": "mini", "looks": "simple"}, "but benchmark is 'mini'; make it libero"),
            ({"looks": "simple"}, "looks is 'simple'; make it published"),
        ],
    )
    def test_a_released_checkpoint_that_cannot_be_is_one_clear_sentence(self, changes, message):
        edit("params.yaml", benchmark="libero", looks="published", released=["released_512"])
        edit("params.yaml", **changes)
        (fault,) = faults()
        assert message in fault

    def test_the_release_trains_with_scenes_where_tasks_are_named_after_them(self):
        edit("params.yaml", benchmark="libero", suites=["goal", "long"], demonstrations="hub", looks="published")
        edit("params.yaml", scene_prefix=True)
        files = resolved()
        asked = {
            suite: yaml.safe_load(files[f"action-{suite}-1"])["train"]["scene_prefix"] for suite in ("goal", "long")
        }
        assert asked == {"goal": False, "long": True}

    def test_a_suite_is_cut_to_some_of_its_tasks_by_number_or_name(self):
        edit("params.yaml", tasks={"goal": [3, "put_the_can_in_the_tray"]})
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        sections = files["goal"]["download"], files["goal-main"]["filter"], files["action-goal-1"]["rollout"]
        assert [section["tasks"] for section in sections] == [[1, 3]] * 3
        assert files["report"]["report"]["num_tasks"] == {"goal": [2, 4]}

    def test_what_is_said_to_be_unsolved_are_tasks_of_libero(self):
        assert set(UNSOLVED) <= {name for suite in SUITES["libero"] for name in task_names("libero", suite)}

    def test_the_params_for_liberos_scenes_resolve(self, project):
        shutil.copy(REPOSITORY / "docs/libero/params.yaml", project / "params.yaml")
        assert "action_world_chunk_mask-spatial-1" in resolved()

    def test_a_run_has_the_sections_of_its_stages(self):
        sections = {name: set(yaml.safe_load(text)) for name, text in resolved().items()}
        assert sections["goal"] == {"download", "split", "speed", "video_metrics"}
        assert sections["action-goal-1"] == {"train", "rollout"}
        assert sections["action-goal-2"] == {"train", "rollout"}
        assert sections["action_h1-goal-1"] == {"train", "rollout"}
        assert sections["world-goal-1"] == {"train", "generate"}
        assert sections["action_world_chunk_mask-goal-1"] == {"train", "rollout", "rollout_planned", "generate"}
        assert sections["action_from_world-goal-1"] == {"finetune", "rollout"}

    def test_a_policy_that_looks_ahead_is_rolled_out_as_its_greedy_one(self):
        edit("params.yaml", planning=["action_world"])
        edit("conf/mini.yaml", rollout_planned__candidates=8)
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        planned = files["action_world-goal-2"]["rollout_planned"]
        assert (planned.pop("candidates"), planned.pop("temperature")) == (8, 0.3)
        assert planned == files["action_world-goal-2"]["rollout"]
        assert "rollout_planned" not in files["action_world_chunk_mask-goal-1"]
        assert files["report"]["report"]["planning"] == {"action_world": {"candidates": 8, "temperature": 0.3}}

    def test_nothing_has_to_look_ahead(self):
        edit("params.yaml", planning=[])
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        assert not [name for name, sections in files.items() if "rollout_planned" in sections]
        assert files["report"]["report"]["planning"] == {}

    def test_a_model_of_images_of_the_other_size_differs_in_nothing_else(self):
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        main, other = files["all_data-goal-1"], files["all_data_other-goal-1"]
        assert main["train"] == other["train"]
        assert [run["rollout"].pop("pixels") for run in (main, other)] == [
            files[f"goal-{images}"]["filter"].pop("pixels") for images in ("main", "other")
        ]
        assert main == other
        assert files["goal-main"]["filter"] == files["goal-other"]["filter"]

    @pytest.mark.parametrize(
        ("change", "kinds"),
        [
            ({"params.yaml": {"rounds": 2}}, {"world"}),
            ({"params.yaml": {"alpha_on": "paper"}}, {"world", "video"}),
            ({"conf/mini.yaml": {"train__alpha": 0.5}}, {"world", "video"}),
            ({"conf/mini.yaml": {"train__future": 2}}, {"video"}),
        ],
    )
    def test_what_concerns_some_kinds_of_samples_reaches_the_runs_that_have_them(self, change, kinds):
        before = resolved()
        for path, values in change.items():
            edit(path, **values)
        after = resolved()
        assert {name for name in after if after[name] != before[name]} == runs_of(
            name for name, one in VARIANTS.items() if kinds & set(one["samples"])
        )

    def test_without_images_of_the_other_size_nothing_is_made_of_them(self):
        edit("params.yaml", images=["main"], other_pixels={})
        assert not {"goal-other", "all_data_other-goal-1"} & set(resolved())

    def test_a_finetuned_run_is_sized_as_one_from_scratch(self):
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        finetuned = files["action_from_world-goal-1"]["finetune"]
        assert finetuned.pop("start") == "world"
        assert finetuned == files["action-goal-1"]["train"]

    def test_more_trainings_change_what_is_there_in_nothing_but_what_lists_them(self):
        before = resolved()
        edit("params.yaml", trainings=[1, 2, 3, 4, 5])
        after = resolved()
        missing = {f"{name}-goal-{number}" for name in SEVERAL for number in (4, 5)}
        assert set(after) - set(before) == missing
        assert {name for name in before if after[name] != before[name]} == {"goal", "report"}
        goal, more = (yaml.safe_load(files["goal"]) for files in (before, after))
        models = [f"{name}-{number}" for name in EXPERIMENT["generate"] for number in range(1, 6)]
        assert more["video_metrics"].pop("models") == models
        assert goal["video_metrics"].pop("models") == [one for one in models if int(one[-1]) < 4]
        assert goal == more  # data and split are not run again

    def test_a_training_changes_the_initial_weights_and_the_order_of_samples_alone(self):
        files = {name: yaml.safe_load(text) for name, text in resolved().items()}
        first, second = files["world-goal-1"], files["world-goal-2"]
        assert first["train"].pop("seed") != second["train"].pop("seed")
        assert first == second
        assert files["action-goal-1"]["train"]["seed"] == files["action_chunk-goal-1"]["train"]["seed"]
        assert files["action-goal-2"]["rollout"]["seed"] == files["goal"]["download"]["seed"] == 0

    def test_no_training_of_one_seed_is_a_training_of_another(self):
        seeds = [training_seed(seed, number) for seed in range(100) for number in range(1, 100)]
        assert len(set(seeds)) == len(seeds)
        assert training_seed(0, 1) == 103133206923630  # as in results that are there

    def test_thresholds_of_claims_reach_the_report_alone(self):
        before = resolved()
        edit("params.yaml", claims__margin_points=5.0)
        after = resolved()
        assert [name for name in after if after[name] != before[name]] == ["report"]
        assert yaml.safe_load(after["report"])["report"]["claims"]["margin_points"] == 5.0

    def test_comments_and_order_do_not_matter(self):
        before = resolved()
        edit("params.yaml")
        edit("conf/mini.yaml")
        assert resolved() == before
