"""Uploading a run: nothing by default, then a repository that loads as the run does; and what the card says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import Fault, serve, use
from hub_uploads import Taking
from huggingface_hub import ModelCard, constants
from reporting_inputs import TASKS as TASK_NAMES
from reporting_inputs import write_rollouts
from test_markdown import faults
from toy_policy import TASKS, frame, write_project

from worldvla import Policy, WorldModel
from worldvla import push as pushing
from worldvla.files import file_digest, value_digest

REPOSITORY = "someone/toy"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a run that was rolled out, and its params; it is the current one."""
    model = write_project(tmp_path)
    rollouts = tmp_path / "data/rollouts/toy"
    write_rollouts(rollouts, "toy", solved={(index, init) for index in range(len(TASK_NAMES)) for init in range(6)})
    weights = value_digest([["model.safetensors", file_digest(model / "model.safetensors")]])
    (rollouts / "made_of.json").write_text(json.dumps({"weights": weights}))
    (tmp_path / "data/resolved").mkdir()
    params = {"train": {"steps": 20, "samples": ["action", "world"]}, "rollout": {"benchmark": "mini", "pixels": 8}}
    (tmp_path / "data/resolved/toy.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the hub on this machine takes files by the older way
    return tmp_path


@pytest.fixture
def hub(project, monkeypatch):
    with serve({}, REPOSITORY, "model", Taking) as hub:
        use(hub, monkeypatch, project / "cache")
        yield hub


def refused(*arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        pushing.main(arguments)
    sentence = str(ended.value.code)
    assert sentence.startswith("push: ")
    assert len(sentence.splitlines()) == 1
    return sentence


def read(path: Path) -> ModelCard:
    """Return a card, whose page is clean."""
    card = ModelCard.load(path)
    page = path.with_suffix(".page.md")
    page.write_text(card.text.lstrip())
    assert not faults(page)
    return card


def test_nothing_is_uploaded_unless_asked(hub, capsys):
    pushing.main(["toy", REPOSITORY])
    printed = capsys.readouterr().out
    assert "vqgan/model.safetensors" in printed
    assert "nothing is uploaded: 9 files, " in printed.splitlines()[-1]
    assert printed.splitlines()[-1].endswith(f"{hub.endpoint}/{REPOSITORY}; read work/cards/toy.md, then add --upload")
    assert hub.files == {}
    assert not hub.starts


def test_what_is_uploaded_loads_as_the_run_does(hub, project, capsys):
    expected = Policy.load("toy").act(frame(0), TASKS[0])
    pushing.main(["toy", REPOSITORY, "--upload"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("uploaded 9 files, ")
    model = project / "data/models/toy"
    assert hub.files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert hub.files["params.yaml"] == (project / "data/resolved/toy.yaml").read_bytes()
    assert hub.files["README.md"].decode() == (project / "work/cards/toy.md").read_text()
    shutil.rmtree(project / "data")
    assert Policy.load(REPOSITORY).act(frame(0), TASKS[0]).tolist() == expected.tolist()
    assert len(WorldModel.load(REPOSITORY).predict(frame(0), np.zeros((2, 7)))) == 3


def test_the_card_says_what_a_reader_needs_in_the_hubs_format(hub, project):
    pushing.main(["toy", REPOSITORY])
    path = project / "work/cards/toy.md"
    card = read(path)
    about = card.data.to_dict()
    assert (about["library_name"], about["pipeline_tag"]) == ("worldvla", "robotics")
    ((metric,),) = [result["metrics"] for result in about["model-index"][0]["results"]]
    assert (metric["type"], metric["value"]) == ("success_rate", 60.0)
    assert "95 % interval " in metric["name"]
    for words in (
        "an instruction and the last 2 frames (8 x 8 px, RGB, LIBERO's `agentview_image` turned by 180 degrees) -> the next 3",
        "a frame (8 x 8 px) and an action -> the next frame",
        f"| shards sha256 | {'b' * 64} |",
        "steps: 20",
        "| goal | 60.0 % | ",
        "the embedded benchmark (not LIBERO)",
        "It has not been tried on a real robot",
        f'Policy.load("{REPOSITORY}").act(frames',
    ):
        assert words in card.text


def test_a_run_that_was_not_rolled_out_says_so(hub, project):
    shutil.rmtree(project / "data/rollouts")
    shutil.rmtree(project / "data/resolved")
    pushing.main(["toy", REPOSITORY])
    card = read(project / "work/cards/toy.md")
    assert "Not measured: there are no rollouts of it." in card.text
    assert "model-index" not in card.data.to_dict()


def test_the_card_says_what_transformers_does_not_add(hub, project):
    pushing.main(["toy", REPOSITORY])
    assert "inputs_embeds" not in read(project / "work/cards/toy.md").text
    path = project / "data/models/toy/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"position_rms": 0.1}))
    pushing.main(["toy", REPOSITORY])
    assert "does not add the waves of positions to the embeddings" in read(project / "work/cards/toy.md").text


def test_rollouts_of_other_weights_are_refused(hub, project):
    (project / "data/rollouts/toy/made_of.json").write_text('{"weights": "cccccccccccccccc"}')
    assert "they are of the weights cccccccccccc, those in" in refused("toy", REPOSITORY)


def test_the_papers_own_weights_are_not_ours_to_publish(hub, project):
    (project / "data/models/toy/released.json").write_text('{"repository": "authors/theirs"}')
    assert "these weights are authors/theirs's, and published there; expected a run that was trained here" in refused(
        "toy", REPOSITORY
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_without_rights(hub, status):
    hub.faults["write"] = Fault(status=status)
    sentence = refused("toy", REPOSITORY, "--upload")
    assert (
        f"someone/toy at {hub.endpoint}: the hub refuses it (HTTP {status}); expected leave to write; log in"
        in sentence
    )
    assert hub.files == {}


def test_what_is_no_hub_is_said_in_a_sentence(hub, monkeypatch):
    monkeypatch.setattr(Taking, "send_json", lambda self, _: self.send_whole(200, b"<html>log in</html>", {}))
    assert "the upload fails (Expecting value" in refused("toy", REPOSITORY, "--upload")


def test_a_hub_that_is_out_of_reach(project, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the upload fails (" in refused("toy", REPOSITORY, "--upload")


def test_names_that_cannot_be(hub):
    assert "'toy' is no name of a repository; expected owner/name" in refused("toy", "toy")
    assert "tyo: no such run or folder" in refused("tyo", REPOSITORY)
