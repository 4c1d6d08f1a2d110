"""What renders, and what is said when nothing can."""

import ctypes.util
import os

import pytest

from worldvla.simulation import rendering


@pytest.fixture
def installed(monkeypatch):
    """Choose which libraries are there; no variable is set, and none stays."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "LP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def install(*names: str) -> None:
        monkeypatch.setattr(ctypes.util, "find_library", lambda name: name if name in names else None)

    return install


@pytest.mark.parametrize(("names", "backend"), [(("OSMesa", "EGL"), "osmesa"), (("EGL",), "egl")])
def test_the_cpu_renders_if_it_can(installed, names, backend):
    installed(*names)
    assert rendering.choose_backend() == os.environ["MUJOCO_GL"] == backend


def test_a_choice_of_the_users_stands(installed, monkeypatch):
    installed("OSMesa", "EGL")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert rendering.choose_backend() == "egl"


def test_a_platform_for_another_backend_is_set_aside(installed, monkeypatch):
    installed("OSMesa", "EGL")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    assert rendering.choose_backend() == os.environ["PYOPENGL_PLATFORM"] == "osmesa"


@pytest.mark.parametrize(
    ("asked", "names", "message"),
    [
        ("", (), r"no OpenGL library for headless rendering .*; run: \./run setup"),
        ("foo", ("OSMesa",), r"^MUJOCO_GL is 'foo'; expected osmesa or egl, which render without a screen; unset it$"),
        ("osmesa", ("EGL",), r"^MUJOCO_GL is 'osmesa' but libOSMesa is not installed; unset it, or run: \./run setup$"),
    ],
)
def test_what_cannot_render_is_named(installed, monkeypatch, asked, names, message):
    installed(*names)
    monkeypatch.setenv("MUJOCO_GL", asked)
    with pytest.raises(ValueError, match=message):
        rendering.choose_backend()


@pytest.mark.parametrize(
    ("hidden", "left"), [("", None), ("-1", None), ("GPU-8d2f", None), ("0", "0"), ("2,3", "2,3"), (None, None)]
)
def test_a_simulator_forgets_what_robosuite_cannot_read(installed, monkeypatch, hidden, left):
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    rendering.forget_hidden_gpus()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == left
