"""A disk that becomes full is an OSError, whichever library writes: a stage then ends in one sentence."""

import contextlib
import errno
import resource
import sys

import numpy as np
import pytest
from small_models import sharp
from test_episodes import HEADER, demonstration

from worldvla.data.raw import write_raw
from worldvla.disk_errors import disk_errors
from worldvla.model import weights
from worldvla.running import console
from worldvla.simulation.videos import write_video
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig


@contextlib.contextmanager
def files_that_stop_growing(size):
    """Let no file of this process become larger than so many bytes: the disk's own error, by another number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_model(folder):
    weights.save(sharp(300), folder)


def save_images(folder):
    config = VQGANConfig(
        num_codes=64, code_dim=8, base_channels=32, channel_multiplier=(1, 1, 1, 1, 1), num_res_blocks=1
    )
    ImageTokenizer(VQGAN(config), 32).save(folder)


def save_texts(folder):
    TextTokenizer.train(["put the can in the basket"], 300).save(folder / "text.json")


def record(folder):
    write_raw(folder / "task_demo.hdf5", HEADER, (demonstration(seed, 50) for seed in range(4)))


def film(folder):
    frames = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), np.uint8)
    write_video(folder / "film.mp4", frames)


@pytest.mark.parametrize("write", [save_model, save_images, save_texts, record, film])
def test_what_a_stage_writes_ends_in_one_sentence_where_the_disk_is_full(tmp_path, monkeypatch, write):
    def main() -> None:
        with files_that_stop_growing(2048):
            write(tmp_path)

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        console.run(main)
    assert str(caught.value.code).startswith("test_full_disk: the disk is full; ")
    assert len(str(caught.value.code).splitlines()) == 1


@pytest.mark.parametrize("write", [record, save_texts])
def test_nothing_half_written_is_left(tmp_path, write):
    with files_that_stop_growing(2048), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="no such device"), disk_errors():
        raise RuntimeError("no such device")
    with pytest.raises(RuntimeError, match="os error"), disk_errors():
        raise RuntimeError("os error in words")
    with pytest.raises(OSError, match="elsewhere"), disk_errors():
        raise OSError(errno.EIO, "elsewhere")
    with pytest.raises(OSError, match=r"^\[Errno 28\]") as caught, disk_errors():
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
