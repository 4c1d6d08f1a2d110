"""Files of the user's that params name: refused before anything runs, recorded by digest, and seen when they change."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from published_names import write_text_tokenizer
from resolve_project import copy_project, edit, faults, resolved

from pipeline.resolve import open_weights
from worldvla.data.file_names import task_file
from worldvla.files import file_digest
from worldvla.params import named_files
from worldvla.params.recorded import check_unchanged, demonstrations_digest
from worldvla.simulation.tasks import task_names
from worldvla.tokenizers.text import TextTokenizer

NAMED = [(section, name) for section, names in named_files.FILES.items() for name in names]
OLD = 1_000_000_000  # seconds: a file that has not changed for long


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Work in a folder with a copy of params.yaml and conf/."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, content: str, when: int = OLD) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)
    os.utime(path, (when, when))
    return Path(path)


def name_file(section: str, name: str, path: str) -> None:
    edit("conf/mini.yaml", **{f"{section}__{name}": path})


@pytest.mark.parametrize(("section", "name"), NAMED)
class TestAFileThatIsNamed:
    def test_is_refused_where_it_cannot_be_read(self, section, name, monkeypatch):
        kind = "file or folder" if name == "weights" else "file"
        start = f"conf/mini.yaml: {section}.{name}"
        name_file(section, name, "weights/absent.pt")
        assert faults() == [f"{start} is 'weights/absent.pt', no such {kind}; correct it, or make it null"]
        Path("weights").mkdir()
        name_file(section, name, "weights")
        expected = "in it; correct it" if name == "weights" else "correct it, or make it null"
        (fault,) = faults()
        assert fault.startswith(f"{start} is 'weights', ")
        assert fault.endswith(expected)
        name_file(section, name, "/dev/null")
        assert faults() == [
            f"{start} is '/dev/null', which is a device; expected a {kind}; correct it, or make it null"
        ]
        name_file(section, name, "~/absent.pt")
        assert "no such" in faults()[0]
        assert "as '~' is not your home folder here" in faults()[0]
        name_file(section, name, str(write("weights/w.pt", "w")))
        monkeypatch.setattr(os, "access", lambda path, mode: "w.pt" not in str(path))
        assert faults() == [f"{start} is 'weights/w.pt', which cannot be read; expected a readable {kind}; chmod it"]

    def test_is_refused_inside_an_output_whatever_way_leads_there(self, section, name):
        write("data/tokenizer/goal-main/w.pt", "w")
        Path("mine").symlink_to("data/tokenizer")
        for path in ("data/tokenizer/goal-main/w.pt", "mine/goal-main/w.pt", "conf/../reports/w.pt"):
            name_file(section, name, path)
            (fault,) = faults()
            assert fault.startswith(f"conf/mini.yaml: {section}.{name} '{path}' is inside ")
            assert fault.endswith(" elsewhere; move it there and name it")

    def test_changes_the_sections_that_name_it_and_no_others(self, section, name):
        write("weights/w.pt", "one")
        name_file(section, name, "weights/w.pt")
        before = resolved()
        assert resolved() == before
        for text in before.values():
            values = yaml.safe_load(text).get(section)
            assert values is None or values["digests"] == {name: file_digest(Path("weights/w.pt"))}
        write("weights/w.pt", "two", OLD + 1)
        after = resolved()
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {"tokenizer": {"goal-main", "goal-other"}, "video_metrics": {"goal"}}[section]
        for one in changed:
            old, new = (yaml.safe_load(texts[one]) for texts in (before, after))
            assert {section for section in new if new[section] != old[section]} == {section}


def test_a_name_that_no_file_can_have_is_refused():
    name_file("tokenizer", "weights", "a\0b")
    assert faults() == [
        "conf/mini.yaml: tokenizer.weights is 'a\0b', no such file or folder; correct it, or make it null"
    ]


def test_what_is_published_is_no_file():
    edit("conf/mini.yaml", tokenizer__text_file="published")
    assert yaml.safe_load(resolved()["goal-main"])["tokenizer"]["digests"] == {}


def test_a_folder_of_weights_stands_for_its_file():
    write("weights/vqgan.ckpt", "w")
    edit("conf/mini.yaml", tokenizer__weights="weights")
    recorded = yaml.safe_load(resolved()["goal-main"])["tokenizer"]["digests"]
    assert recorded == {"weights": file_digest(Path("weights/vqgan.ckpt"))}


def test_a_file_is_read_again_only_if_its_size_or_time_says_so(monkeypatch):
    read = []
    monkeypatch.setattr(named_files, "file_digest", lambda path: read.append(path) or "0" * 64)
    edit("conf/mini.yaml", tokenizer__weights="w.pt")
    write("w.pt", "one")
    assert resolved() == resolved()
    assert len(read) == 1
    write("w.pt", "two", OLD + 1)
    assert resolved() == resolved()
    assert len(read) == 2
    Path("w.pt").write_text("new")  # a moment ago: it may change again within the same tick of the clock
    assert resolved() == resolved()
    assert len(read) >= 4
    Path("work/digests.json").write_text("{")
    resolved()


def use_demonstrations(folder: str, **changes: object) -> None:
    edit("params.yaml", demonstrations="local", demonstrations_folder=folder, **changes)


def write_demonstrations(folder: str) -> list[Path]:
    return [write(str(task_file(Path(folder), name)), name) for name in task_names("mini", "goal")]


class TestDemonstrations:
    def test_of_the_chosen_tasks_are_recorded(self):
        files = write_demonstrations("mine")
        write("mine/notes.txt", "of no task")
        use_demonstrations("mine", tasks={"goal": [0, 1]})
        before = resolved()
        digests = {path.name: file_digest(path) for path in files[:2]}
        assert yaml.safe_load(before["goal"])["download"]["digests"] == {"folder": demonstrations_digest(digests)}
        write(str(files[3]), "changed", OLD + 1)
        write("mine/notes.txt", "changed", OLD + 1)
        assert resolved() == before
        write(str(files[0]), "changed", OLD + 1)
        after = resolved()
        assert {name for name in after if after[name] != before[name]} == {"goal"}
        old, new = (yaml.safe_load(texts["goal"]) for texts in (before, after))
        assert {section for section in new if new[section] != old[section]} == {"download"}

    def test_are_found_in_the_suites_own_folder(self):
        write_demonstrations("mine/mini_goal")
        use_demonstrations("mine")
        assert yaml.safe_load(resolved()["goal"])["download"]["digests"].keys() == {"folder"}

    def test_that_are_missing_or_cannot_be_read_are_named(self, monkeypatch):
        files = write_demonstrations("mine")
        use_demonstrations("mine")

        def deny(path: Path) -> str:
            raise PermissionError

        with monkeypatch.context() as patch:
            patch.setattr(named_files, "file_digest", deny)
            assert faults() == [f"params.yaml: {files[0]} cannot be read; expected a readable file; chmod it"]
        files[2].unlink()
        assert faults() == [
            f"params.yaml: mine: 3 of 4 task files; missing '{files[2].name}'; add it, or name another "
            "demonstrations_folder"
        ]

    def test_in_a_folder_that_is_none_or_unreadable_are_refused(self, monkeypatch):
        use_demonstrations(str(write("mine.zip", "PK")))
        assert faults() == [
            "params.yaml: demonstrations_folder is 'mine.zip', which is a file; expected a folder; name the folder of your "
            "HDF5 files"
        ]
        write_demonstrations("mine")
        use_demonstrations("mine")

        def deny(path: object) -> None:
            raise PermissionError

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", deny)
            fault = named_files.place_fault("mine", Path(), "folder", "name another")
        assert fault == "is 'mine', which cannot be read; expected a readable folder; chmod it"


@dataclass
class Weights:
    weights: str
    digests: dict[str, str]


def test_a_stage_refuses_a_file_that_changed_since_it_was_recorded():
    path = write("weights/w.pt", "one")
    params = Weights(weights="weights", digests={"weights": file_digest(path)})
    path.rename("weights/vqgan.ckpt")
    check_unchanged("tokenizer", params)
    write("weights/vqgan.ckpt", "two")
    with pytest.raises(
        ValueError,
        match=r"^tokenizer.weights: weights/vqgan.ckpt has changed since resolve \(sha256 \w{12}; expected \w{12}\)"
        r"; run: dvc repro -f resolve, then the same command$",
    ):
        check_unchanged("tokenizer", params)
    Path("weights/vqgan.ckpt").unlink()
    check_unchanged("tokenizer", params)  # whatever reads it says that it is missing


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        ("tokenizer", "text_file", "w.pt: no text tokenizer"),
        ("tokenizer", "weights", "w.pt: 1 bytes, cut short, damaged or no file of weights; expected safetensors or"),
        (
            "tokenizer",
            "perceptual_weights",
            "w.pt: 1 bytes, cut short, damaged or no file of weights; expected torchvision's vgg16",
        ),
        ("video_metrics", "i3d_weights", "w.pt: 1 bytes, cut short, damaged or no file of weights"),
        ("video_metrics", "lpips_vgg", "w.pt: its sha256 begins with"),
        ("video_metrics", "lpips_alex", "w.pt: its sha256 begins with"),
    ],
)
def test_a_file_of_something_else_is_found_before_any_other_stage_runs(section, name, message):
    write("w.pt", "w")
    name_file(section, name, "w.pt")
    with pytest.raises(ValueError, match=message):
        open_weights(resolved().values())


def test_a_text_tokenizer_is_asked_for_by_the_vocabulary():
    TextTokenizer.train(["put the can in the basket"], 300).save(Path("text.json"))
    edit("conf/mini.yaml", tokenizer__text_file="text.json")
    open_weights(resolved().values())
    sizes = yaml.safe_load(Path("conf/paper.yaml").read_text())
    write_text_tokenizer(Path("published.json"))
    for path, fine in (("published.json", True), ("text.json", False)):
        Path("conf/paper.yaml").write_text(yaml.safe_dump(sizes))
        edit("conf/paper.yaml", tokenizer__text_file=path, tokenizer__weights="published")
        edit("params.yaml", scale="paper", benchmark="libero", looks="published", demonstrations="hub")
        if fine:
            open_weights(resolved().values())
        else:
            with pytest.raises(ValueError, match="this is not the text tokenizer of the chameleon vocabulary"):
                open_weights(resolved().values())


def test_the_papers_sizes_name_no_file_that_must_be_brought():
    edit(
        "params.yaml",
        scale="paper",
        benchmark="libero",
        looks="published",
        demonstrations="hub",
        released=["released_256"],
    )
    assert all(not section.get("digests") for text in resolved().values() for section in yaml.safe_load(text).values())
