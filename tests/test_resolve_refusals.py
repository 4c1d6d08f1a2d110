"""``resolve`` refuses what it cannot mean: a sentence for every wrong or contradictory value, all at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from resolve_project import REPOSITORY, SCALES, copy_project, edit, faults, resolved

from worldvla.params import strict
from worldvla.params.benchmarks import SUITES, max_steps
from worldvla.params.unsolved import UNSOLVED
from worldvla.simulation.tasks import task_names

LIMIT = max_steps("mini", "goal")
NUMBERS = "expected numbers from 1 on, each once: [1, 2, 3], or [1]"

PLAIN = {
    "samples": ["action"],
    "mask": "causal",
    "chunk": 1,
    "history": None,
    "episodes": "train",
    "times": 1,
}  # a variant


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with a copy of params.yaml and conf/."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scale": "papre"}, f"params.yaml: scale is 'papre'; the files of conf/ give: {', '.join(SCALES)}"),
            (
                {"suites": ["gaol"]},
                "params.yaml: suite 'gaol' is not in the benchmark 'mini'; it has: spatial, object, goal, long",
            ),
            ({"suites": []}, "params.yaml: suites is []; expected at least one suite, each once"),
            (
                {"suites": ["goal", "goal"]},
                "params.yaml: suites is ['goal', 'goal']; expected at least one suite, each once",
            ),
            ({"benchmark": "minni"}, "params.yaml: benchmark is 'minni'; did you mean 'mini'?"),
            ({"chunk": 0}, "params.yaml: chunk is 0; expected at least 1"),
            (
                {"chunk": LIMIT + 1},
                f"params.yaml: chunk is {LIMIT + 1}; expected at most {LIMIT}, the longest episode of the suite 'goal'",
            ),
            (
                {"once__action_h1__chunk": LIMIT + 1},
                f"params.yaml: the chunk of 'action_h1' is {LIMIT + 1}; expected at most {LIMIT}, the longest episode of "
                "the suite 'goal'",
            ),
            ({"seed": 2**32}, "params.yaml: seed is 4294967296; expected 0 to 4294967295"),
            ({"history": 0}, "params.yaml: history is 0; expected at least 1"),
            ({"rounds": 0}, "params.yaml: rounds is 0; expected at least 1"),
            ({"prompt": "papre"}, "params.yaml: prompt is 'papre'; did you mean 'paper'?"),
            ({"alpha_on": "loss"}, "params.yaml: alpha_on is 'loss'; known: release, paper"),
            (
                {"variants__world__samples": ["wordl"]},
                "params.yaml: variants.world.samples[0] is 'wordl'; did you mean 'world'?",
            ),
            (
                {"variants__action__samples": []},
                "params.yaml: variants.action.samples is []; expected at least one kind, each once",
            ),
            (
                {"finetune_from": "wrld"},
                "params.yaml: finetune_from is 'wrld', which no variant is called; did you mean 'world'?",
            ),
            (
                {"finetune_from": "action"},
                "params.yaml: finetune_from is 'action', whose samples are action; expected world among them (table 6)",
            ),
            (
                {"images": ["main"]},
                "params.yaml: other_pixels has 'all_data_other' but images is ['main']; add other to images, or make "
                "other_pixels {}",
            ),
            ({"images": ["other"]}, "params.yaml: images is ['other']; expected [main] or [main, other]"),
            (
                {"other_pixels__all_data_other__samples": ["world"]},
                "params.yaml: other_pixels has 'all_data_other', whose samples are world; expected action among them",
            ),
            (
                {"rollout": ["action", "all_data_other"]},
                "params.yaml: rollout has 'all_data_other', which sees images of the other size; expected one of variants "
                "or finetune (those of other_pixels are rolled out without being named)",
            ),
            (
                {"other_pixels": {}},
                "params.yaml: images is ['main', 'other'] but other_pixels is empty: nothing would see them; make images "
                "[main]",
            ),
            (
                {"variants__world__episodes": "all", "generate": ["action_world_chunk_mask"]},
                "params.yaml: finetune_from is 'world', which is trained on all episodes; expected episodes: train, as in "
                "finetune",
            ),
            ({"speed": []}, "params.yaml: speed is []; expected at least one variant, each once"),
            (
                {"history": LIMIT + 1},
                f"params.yaml: history is {LIMIT + 1}; expected at most {LIMIT}, the longest episode of the suite 'goal'",
            ),
            (
                {"once__action_h4__history": LIMIT + 1},
                f"params.yaml: the history of 'action_h4' is {LIMIT + 1}; expected at most {LIMIT}, the longest episode "
                "of the suite 'goal'",
            ),
            (
                {"rounds": LIMIT + 1},
                f"params.yaml: rounds is {LIMIT + 1}; expected at most {LIMIT}, the longest episode of the suite 'goal'",
            ),
            ({"ablation_tasks": "sen"}, "params.yaml: ablation_tasks is 'sen'; did you mean 'seen'?"),
            (
                {
                    "finetune": {
                        "world": {
                            "samples": ["world"],
                            "mask": "causal",
                            "chunk": 1,
                            "history": None,
                            "episodes": "train",
                            "times": 1,
                        }
                    },
                    "rollout": ["action"],
                },
                "params.yaml: 'world' is in variants and in finetune; give one of them another name",
            ),
            ({"generate": []}, "params.yaml: generate is []; expected at least one variant, each once"),
            (
                {"rollout": ["action", "action"]},
                "params.yaml: rollout is ['action', 'action']; expected at least one variant, each once",
            ),
            (
                {
                    "variants__truth": {
                        "samples": ["world"],
                        "mask": "causal",
                        "chunk": 1,
                        "history": None,
                        "episodes": "train",
                        "times": 1,
                    }
                },
                "params.yaml: variants has 'truth', which table 4 calls a baseline; expected another name",
            ),
            ({"rollout": ["acton"]}, "params.yaml: rollout has 'acton'; did you mean 'action'?"),
            (
                {"rollout": ["world"]},
                "params.yaml: rollout has 'world', whose samples are world; expected action among them",
            ),
            (
                {"generate": ["action"]},
                "params.yaml: generate has 'action', whose samples are action; expected world among them",
            ),
            (
                {"variants__action_world__episodes": "all", "generate": ["world", "action_world"]},
                "params.yaml: generate has 'action_world', which is trained on all episodes, the clips to predict among them; "
                "expected episodes: train",
            ),
            (
                {"generate": ["world", "all_data"]},
                "params.yaml: generate has 'all_data', which is trained once; expected one of variants or finetune (those of "
                "once are rolled out without being named, and predict no clips)",
            ),
            (
                {"planning": ["action_chunk"]},
                "params.yaml: planning has 'action_chunk', whose samples are action; expected action and world among them",
            ),
            (
                {"planning": ["world"]},
                "params.yaml: planning has 'world', whose samples are world; expected action and world among them",
            ),
            (
                {"planning": ["all_data"]},
                "params.yaml: planning has 'all_data', which is trained once; expected one of variants or finetune (those of "
                "once are rolled out without being named, and predict no clips)",
            ),
            (
                {"planning": ["action_world", "action_world"]},
                "params.yaml: planning is ['action_world', 'action_world']; expected each variant once",
            ),
            (
                {
                    "planning": ["action_world"],
                    "variants__action_world_planned": PLAIN,
                },
                "params.yaml: planning has 'action_world', whose rollouts are called 'action_world_planned', and so is a variant; "
                "give that one another name",
            ),
            ({"trainings": []}, f"params.yaml: trainings is []; {NUMBERS}"),
            ({"trainings": [0, 1]}, f"params.yaml: trainings is [0, 1]; {NUMBERS}"),
            ({"trainings": [1, 2, 2]}, f"params.yaml: trainings is [1, 2, 2]; {NUMBERS}"),
            (
                {"trainings": [4, 5]},
                "params.yaml: trainings is [4, 5]; expected 1 among them, the one that is timed; others are run alone by the "
                "names of their stages: ./run reproduce rollout@action-goal-4",
            ),
            ({"trainings": 3}, "params.yaml: trainings is 3; expected a list, each entry a whole number"),
            ({"trainings": [1, 2.5]}, "params.yaml: trainings[1] is 2.5; expected a whole number"),
            ({"claims__trainings": 0}, "params.yaml: claims.trainings is 0; expected at least 2"),
            (
                {"once__action_h1__samples": ["world"], "speed": ["action"]},
                "params.yaml: once has 'action_h1', whose samples are world; expected action among them",
            ),
            (
                {"variants__action__mask": "cuasal"},
                "params.yaml: variants.action.mask is 'cuasal'; did you mean 'causal'?",
            ),
            (
                {"variants__action__chunkd": 1},
                "params.yaml: unknown key 'variants.action.chunkd'; did you mean 'chunk'?",
            ),
            ({"claims__margin_points": -1}, "params.yaml: claims.margin_points is -1.0; expected 0 to 100"),
            ({"claims__margin_db": -0.1}, "params.yaml: claims.margin_db is -0.1; expected at least 0"),
            ({"claims__power": 1}, "params.yaml: claims.power is 1.0; expected 0.5 to 0.99"),
            ({"claims__powr": 0.8}, "params.yaml: unknown key 'claims.powr'; did you mean 'power'?"),
            ({"variants": {}}, "params.yaml: variants is empty; expected at least one variant"),
            (
                {"variants": {"a-b": PLAIN}},
                "params.yaml: variants has 'a-b'; expected a name of small letters, digits and underscores",
            ),
            (
                {"demonstrations": "local"},
                "params.yaml: demonstrations is 'local' but demonstrations_folder is null; name the folder",
            ),
            (
                {"demonstrations": "local", "demonstrations_folder": "data/raw/goal"},
                "params.yaml: demonstrations_folder 'data/raw/goal' is inside data/, whose content DVC deletes before a stage "
                "writes anew; expected a folder elsewhere; move it there and name it",
            ),
            (
                {"demonstrations": "local", "demonstrations_folder": "conf/../absent"},
                "params.yaml: demonstrations_folder is 'conf/../absent', no such folder; name the folder of your HDF5 files",
            ),
            (
                {"demonstrations_folder": "demos"},
                "params.yaml: demonstrations_folder is for demonstrations: local or lerobot, which is 'scripted'; make the folder null",
            ),
            (
                {"looks": "published"},
                "params.yaml: looks is 'published' but the benchmark 'mini' has simple looks of its own; make looks simple",
            ),
            (
                {"benchmark": "libero", "demonstrations": "hub"},
                "params.yaml: looks is 'simple' but demonstrations is 'hub', and policies of published demonstrations are "
                "shown published looks; make looks published",
            ),
            ({"tasks": {"goal": [0, 4]}}, "params.yaml: tasks of 'goal' has 4; expected 0 to 3, or names"),
            (
                {"tasks": {"goal": ["put_the_can_in_the_trey"]}},
                "params.yaml: tasks of 'goal' has 'put_the_can_in_the_trey'; did you mean 'put_the_can_in_the_tray'?",
            ),
            (
                {"tasks": {"goal": [1, "put_the_can_in_the_tray"]}},
                "params.yaml: tasks of 'goal' is [1, 'put_the_can_in_the_tray']; expected each task once",
            ),
            (
                {"tasks": {"goal": []}},
                "params.yaml: tasks of 'goal' is empty; name at least one task, or leave the suite out for all of them",
            ),
            (
                {"tasks": {"object": [1]}},
                "params.yaml: tasks names the suite 'object', which is not in suites (goal); add it there, or remove it here",
            ),
            (
                {"tasks": {"goal": [1.5]}},
                "params.yaml: tasks.goal[0] is 1.5; expected a whole number or text",
            ),
            (
                {"demonstrations": "hub"},
                "params.yaml: demonstrations is 'hub' but only the benchmark 'libero' is published; use scripted",
            ),
        ],
    )
    def test_a_wrong_value_is_one_clear_sentence(self, changes, message):
        edit("params.yaml", **changes)
        assert faults() == [message]

    def test_a_suite_of_another_benchmark_is_refused(self, monkeypatch):
        monkeypatch.setitem(SUITES, "mini", {"goal": SUITES["mini"]["goal"]})
        edit("params.yaml", suites=["long", "goal"], chunk=LIMIT + 1)
        assert faults() == [
            "params.yaml: suite 'long' is not in the benchmark 'mini'; it has: goal",
            f"params.yaml: chunk is {LIMIT + 1}; expected at most {LIMIT}, the longest episode of the suite 'goal'",
        ]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"train__steps": 0}, "conf/mini.yaml: train.steps is 0; expected at least 1"),
            ({"train__stepz": 1}, "conf/mini.yaml: unknown key 'train.stepz'; did you mean 'steps'?"),
            ({"train__seed": 1}, "conf/mini.yaml: 'train.seed' is set elsewhere; remove it here"),
            ({"train": 3}, "conf/mini.yaml: 'train' is 3; expected 'key: value' lines"),
            (
                {"generate__horizons": 10},
                "conf/mini.yaml: generate.horizons is 10; expected a list, each entry a whole number",
            ),
            ({"generate__horizons": [5, 20]}, "conf/mini.yaml: generate.horizons is (5, 20); expected at least 9"),
            (
                {"generate__horizons": [10, 91]},
                "conf/mini.yaml: generate.horizons has 91; expected at most 90, the longest episode of the suite 'goal'",
            ),
            (
                {"download__demonstrations_per_task": 9},
                "conf/mini.yaml: download.demonstrations_per_task is 9, of which 0 are held out to be predicted for the suite "
                "'goal'; expected 2 held out at least; make it 10 or more",
            ),
            ({"trian": {}}, "conf/mini.yaml: unknown section 'trian'; did you mean 'train'?"),
            ({"pixels__main": "big"}, "conf/mini.yaml: pixels.main is the text 'big'; expected a whole number"),
            ({"pixels__main": 100}, "conf/mini.yaml: pixels.main is 100; expected a positive multiple of 16"),
            ({"pixels__other": 64}, "conf/mini.yaml: pixels.other is 64; expected another size than main"),
            (
                {"rollout_planned__candidates": 0},
                "conf/mini.yaml: rollout_planned.candidates is 0; expected at least 1",
            ),
            (
                {"rollout__init_states_per_task": 51},
                "conf/mini.yaml: rollout.init_states_per_task is 51; expected 1 to 50",
            ),
        ],
    )
    def test_a_wrong_size_is_one_clear_sentence(self, changes, message):
        edit("conf/mini.yaml", **changes)
        assert message in faults()

    def test_one_task_needs_twice_as_many_demonstrations_and_a_release_split_holds_one_task_out(self):
        edit("conf/mini.yaml", download__demonstrations_per_task=19)
        edit("params.yaml", tasks={"goal": [0]})
        (fault,) = faults()
        assert "is 19, of which 1 are held out" in fault
        assert fault.endswith("make it 20 or more")
        edit("params.yaml", tasks={"goal": [0, 1]})
        resolved()
        edit("params.yaml", split="release")
        assert "is 19, of which 1 are held out" in faults()[0]

    def test_a_missing_size_is_reported_once(self):
        content = strict.read_yaml(Path("conf/mini.yaml"))
        del content["pixels"]["main"]
        Path("conf/mini.yaml").write_text(yaml.safe_dump(content))
        assert faults() == ["conf/mini.yaml: the key 'pixels.main' is missing; expected a whole number"]

    def test_all_faults_are_reported(self):
        edit("conf/mini.yaml", train__batch=0, rollout__environments=0)
        assert len(faults()) == 2
        edit("params.yaml", scale="papre", chunk=LIMIT + 1)
        assert len(faults()) == 2

    def test_the_stage_ends_in_one_sentence_and_leaves_earlier_files_alone(self, project):
        command = [sys.executable, "-m", "pipeline.resolve", "--params", str(project / "params.yaml")]
        command += ["--conf", str(project / "conf"), "--out", str(project / "resolved")]
        assert subprocess.run(command, cwd=REPOSITORY, capture_output=True).returncode == 0
        before = {path.name: path.read_bytes() for path in (project / "resolved").iterdir()}
        edit("params.yaml", chunk=0)
        failed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert failed.returncode == 1
        assert failed.stderr == f"resolve: {project}/params.yaml: chunk is 0; expected at least 1\n"
        assert {path.name: path.read_bytes() for path in (project / "resolved").iterdir()} == before

    def test_a_task_that_the_expert_does_not_solve_is_refused_where_it_would_record_it(self, monkeypatch):
        names = task_names("libero", "object")
        monkeypatch.setitem(UNSOLVED, names[3], "it drops the sauce")
        edit("params.yaml", benchmark="libero", suites=["object"])
        assert faults() == [
            f"params.yaml: demonstrations is 'scripted', but the expert does not solve '{names[3]}' of the suite 'object' "
            "(it drops the sauce); make tasks {object: [0, 1, 2, 4, 5, 6, 7, 8, 9]}, or demonstrations: hub and looks: published"
        ]
        edit("params.yaml", tasks={"object": [3]})
        (fault,) = faults()
        assert fault.endswith("(it drops the sauce); make demonstrations: hub and looks: published")
        edit("params.yaml", tasks={"object": [0, 9]})
        resolved()
        edit("params.yaml", tasks={}, demonstrations="hub", looks="published")
        resolved()
