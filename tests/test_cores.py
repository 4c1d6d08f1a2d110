"""How many cores there are to use."""

import pytest

from worldvla.running import cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        (None, 8),
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 8),
    ],
)
def test_a_containers_share_counts(monkeypatch, tmp_path, quota, expected):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "CPU_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cores.num_cores() == expected


@pytest.mark.parametrize(("share", "expected"), [("3", 3), ("99", 8), ("", 8)])
def test_a_stages_share_counts(monkeypatch, tmp_path, share, expected):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("STAGE_CORES", share)
    monkeypatch.setattr(cores, "CPU_QUOTA", tmp_path / "cpu.max")
    assert cores.num_cores() == expected


@pytest.mark.parametrize("share", ["0", "-1", "two"])
def test_a_share_that_is_no_number_is_refused(monkeypatch, share):
    monkeypatch.setenv("STAGE_CORES", share)
    with pytest.raises(ValueError, match=f"^STAGE_CORES is '{share}'; expected a number of cores from 1 on; unset it$"):
        cores.num_cores()
