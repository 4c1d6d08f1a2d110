"""Tasks of both benchmarks come from LIBERO's own maps; which MuJoCo may run LIBERO's initial states."""

import sys
import warnings
from types import ModuleType

import pytest

from worldvla.params.benchmarks import SUITES, SuiteEntry
from worldvla.simulation import engine
from worldvla.simulation.tasks import chosen_tasks, task_names, tasks


def test_names_and_instructions_are_those_of_liberos_own_register(monkeypatch):
    monkeypatch.setitem(SUITES["libero"], "ninety", SuiteEntry(400, "libero_90"))  # another suite is another entry
    engine.import_libero()
    from libero.libero.benchmark import task_maps

    for suite, entry in SUITES["libero"].items():
        found = {task.name: task.language for task in tasks("libero", suite)}
        assert found == {name: task.language for name, task in task_maps[entry.libero_name].items()}
        assert all(task.bddl_file.is_file() for task in tasks("libero", suite))
    assert len(task_names("libero", "ninety")) == 90


def test_some_tasks_of_a_suite_keep_their_index():
    chosen = chosen_tasks("libero", "object", (7, 2))
    assert [task.index for task in chosen] == [2, 7]
    assert chosen[1] == tasks("libero", "object")[7]


@pytest.mark.parametrize("version", ["3.1.6", "3.2.7", "3.3.2"])
def test_a_mujoco_as_the_published_data_s_is_silent(version):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.check_mujoco(version)


@pytest.mark.parametrize("version", ["3.3.3", "3.3.7"])
def test_a_mujoco_that_renders_otherwise_is_warned_about(version):
    with pytest.warns(
        UserWarning, match=rf"MuJoCo is {version}, which renders LIBERO's floors darker than 3.3.2 .* run:"
    ):
        engine.check_mujoco(version)


@pytest.mark.parametrize("version", ["3.4.0", "3.4.0rc1", "3.10.1", "4.0.0"])
def test_a_mujoco_in_which_liberos_states_do_not_rest_is_refused(version):
    with pytest.raises(ValueError, match=rf"^MuJoCo is {version}; expected 3.3.2, .* run: \./run setup$"):
        engine.check_mujoco(version)


def test_versions_are_those_installed():
    assert engine.versions() == {"mujoco": "3.3.2", "robosuite": "1.4.0", "hf-libero": "0.1.4"}


def test_libero_is_imported_without_its_question_in_a_program_that_has_imported_robosuite(monkeypatch):
    imported = []
    monkeypatch.setitem(sys.modules, "robosuite", ModuleType("robosuite"))
    monkeypatch.setattr(engine, "import_libero", lambda: imported.append("libero"))
    engine.import_simulator()
    assert imported == ["libero"]
