"""Two names for people: a model from a folder, a run or the hub, asked with images; and how its tokenizer is found."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from hub_server import serve, use
from released_files import read_files
from toy_policy import CHUNK, HISTORY, PIXELS, TASKS, frame, write_project, write_tokenizer

from worldvla import Policy, WorldModel
from worldvla.folders import find_model, find_tokenizer
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.settings import ModelSettings
from worldvla.model.world import WorldModel as Codes
from worldvla.tokenizers.image import ImageTokenizer

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a run and its tokenizer, which is the current one."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_policy_acts_on_frames_and_an_instruction(project):
    policy = Policy.load("toy")
    assert (policy.pixels, policy.history, policy.chunk) == (PIXELS, HISTORY, CHUNK)
    frames = np.stack([frame(seed) for seed in range(3)])
    actions = policy.act(frames, TASKS[0])
    reference = ChameleonPolicy.load(project / "data/models/toy", project / "data/tokenizer/goal-main")
    (expected,) = reference.act([TASKS[0]], [reference.encode(frames[-HISTORY:])])
    assert expected is not None
    assert actions.tolist() == expected.tolist()
    assert actions.shape == (CHUNK, 7)
    assert policy.act(frames[-1], TASKS[0]).shape == (CHUNK, 7)  # an episode's first frame


def test_a_world_model_predicts_a_clip_from_a_frame_and_actions(project):
    world = WorldModel.load(project / "data/models/toy")
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 7))
    clip = world.predict(frame(0), actions)
    assert (clip.shape, clip.dtype) == ((5, PIXELS, PIXELS, 3), np.uint8)
    images = ImageTokenizer.load(project / "data/tokenizer/goal-main")
    codes = Codes.load(project / "data/models/toy", project / "data/tokenizer/goal-main")
    expected = codes.predict(images.encode(frame(0)[None]), np.concatenate([actions, actions[:1]])[None])[0]
    assert np.array_equal(clip, images.decode(expected))


def test_images_of_another_size_and_no_image_are_refused(project):
    policy = Policy.load("toy")
    with pytest.raises(ValueError, match=r"got frames uint8 \[1, 9, 8, 3\], expected uint8 \[N, 8, 8, 3\]"):
        policy.act(np.zeros((9, 8, 3), np.uint8), TASKS[0])
    with pytest.raises(ValueError, match="got no frame, expected 1 to 2"):
        policy.act(np.zeros((0, 8, 8, 3), np.uint8), TASKS[0])


def test_an_answer_that_is_no_action_is_an_error(project, monkeypatch):
    policy = Policy.load("toy")
    monkeypatch.setattr(ChameleonPolicy, "act", lambda *_: [None])
    with pytest.raises(
        ValueError, match="a token of the answer to 'open the drawer' is no action; expected bins alone"
    ):
        policy.act(frame(0), TASKS[0])


def test_published_weights_are_asked_as_they_were_published(project):
    assert Policy.load("toy")._policy._no_bin == "fail"
    (project / "data/models/toy/released.json").write_text("{}")
    assert Policy.load("toy")._policy._no_bin == "clamp"


def test_a_repository_of_the_hub_is_fetched_whole(project, monkeypatch):
    complete = project / "complete"
    shutil.copytree(project / "data/models/toy", complete)
    shutil.copytree(project / "data/tokenizer/goal-main/vqgan", complete / "vqgan")
    expected = Policy.load("toy").act(frame(0), TASKS[0])
    with serve(read_files(complete), "someone/toy", "model") as hub:
        use(hub, monkeypatch, project / "cache")
        assert Policy.load("someone/toy").act(frame(0), TASKS[0]).tolist() == expected.tolist()
        assert WorldModel.load("someone/toy").predict(frame(0), np.zeros((1, 7))).shape == (2, PIXELS, PIXELS, 3)
        assert hub.sent["model.safetensors"] == (complete / "model.safetensors").stat().st_size  # once
        with pytest.raises(ValueError, match=r"no such|not there") as caught:
            Policy.load("someone/else")
    assert "repositories.yaml" not in str(caught.value)
    assert "give the folder of a model instead" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_that_is_not_there_is_named_with_the_nearest(project):
    with pytest.raises(ValueError, match=r"^tyo: no such run or folder; expected .*; did you mean 'toy'\?$"):
        find_model("tyo")
    with pytest.raises(ValueError, match=r"^a/b/c: no such run or folder; .*; known runs: toy$"):
        find_model("a/b/c")


def test_a_folder_of_another_kind_is_refused(project):
    with pytest.raises(ValueError, match=r"settings.json: no such file; expected the folder of a trained model"):
        Policy.load("data/tokenizer/goal-main")


def test_a_model_of_other_samples_is_refused(project):
    settings = project / "data/models/toy/settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"samples": ["world"]}))
    with pytest.raises(ValueError, match="trained on world samples, expected action among them"):
        Policy.load("toy")


class TestTheTokenizer:
    def test_is_the_one_whose_codes_the_model_knows(self, project):
        write_tokenizer(project / "data/tokenizer/another", seed=1)
        assert find_tokenizer(find_model("toy")).name == "goal-main"
        shutil.rmtree(project / "data/tokenizer/goal-main")
        with pytest.raises(ValueError, match=r"no image tokenizer there is \w{12}, whose codes .*--tokenizer"):
            find_tokenizer(find_model("toy"))

    def test_is_the_one_that_is_given(self, project):
        assert find_tokenizer(find_model("toy"), "elsewhere").name == "elsewhere"

    def test_of_several_sizes_is_the_one_of_the_runs_params(self, project):
        write_tokenizer(project / "data/tokenizer/a-other", pixels=16)  # the same weights
        with pytest.raises(ValueError, match="those for images of 8 px and 16 px are all"):
            find_tokenizer(find_model("toy"))
        (project / "data/resolved").mkdir()
        for pixels, name in ((8, "goal-main"), (16, "a-other")):
            (project / "data/resolved/toy.yaml").write_text(f"rollout: {{pixels: {pixels}}}\n")
            assert find_tokenizer(find_model("toy")).name == name

    def test_of_a_published_one_is_known_by_the_published_file(self, project):
        path = project / "data/tokenizer/goal-main/vqgan/config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"published": "c" * 64}))
        settings = ModelSettings.load(find_model("toy"))
        assert settings.image_tokenizer != "c" * 64
        with pytest.raises(ValueError, match="no image tokenizer there is"):
            find_tokenizer(find_model("toy"))


def blocks(path: Path, heading: str) -> list[str]:
    """Return the indented blocks of code in a section of a page."""
    section = path.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", section, re.MULTILINE)]


def test_the_lines_of_the_first_page_run(project):
    (code,) = blocks(ROOT / "README.md", "Use a model")
    lines = [line for line in code.splitlines() if line]
    assert len(lines) == 10, "five each"
    code = re.sub(r'load\("[^"]+"\)', 'load("toy")', code)
    taken = []
    environment = SimpleNamespace(step=lambda action: (taken.append(action), 0.0, False, {}))
    given = {"observation": {"agentview_image": frame(0)}, "environment": environment, "PIL": PIL}
    exec(code.replace("clip = ", "actions = np.stack(taken)\nclip = "), given | {"np": np, "taken": taken})
    assert len(taken) == CHUNK
    with PIL.Image.open(project / "clip.gif") as film:
        assert film.size == (PIXELS, PIXELS)


def test_the_names_cost_nothing_until_they_are_asked_for():
    code = "import sys, worldvla; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ImportError, match="cannot import name 'Polices'"):
        from worldvla import Polices  # noqa: F401
