"""``./run plan``: every rung of the ladder is counted, and what does not fit is refused with a change that does."""

import dataclasses

import pytest
import torch
from resolve_project import REPOSITORY, SCALES

from benchmarks.paper_scale import device
from worldvla import plan
from worldvla.costs.asking import Speed, frame_hours, planning_hours, query_hours
from worldvla.costs.pages import only
from worldvla.costs.room import Place, fewest, refusals
from worldvla.costs.runs import counts, read_experiment
from worldvla.costs.stages import costs, trained, training_bytes, training_hours
from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.parts import Part
from worldvla.model.size import Size, activation_bytes
from worldvla.running.devices import DEVICES
from worldvla.running.machine import Machine, TrainingMachine

PARAMS, CONF = REPOSITORY / "params.yaml", REPOSITORY / "conf"
H100, RTX_4090 = device("H100"), device("RTX 4090")
ALONE = TrainingMachine()
SMALL = Place(cores=2, memory=16e9, disk=50e9, workers=2, gpu=None, num_gpus=0)
ONE_RTX = Place(cores=8, memory=64e9, disk=500e9, workers=1, gpu=RTX_4090, num_gpus=1)
EIGHT_H100 = Place(cores=128, memory=512e9, disk=8e12, workers=8, gpu=H100, num_gpus=8)


@pytest.fixture(scope="module")
def ladder():
    """Return every rung with one training of each model, as they were measured."""
    return {scale: read_experiment(PARAMS, CONF, plan.changes(scale) | {"trainings": [1]}) for scale in plan.LADDER}


def refused(experiment, place, **machine):
    spread = plan.spread_of(Machine(**machine), place)
    return refusals(experiment, costs(experiment, place.gpu, spread), place, spread)


def hours(experiment, place):
    spread = plan.spread_of(Machine(), place)
    return plan.elapsed(costs(experiment, place.gpu, spread), place, spread)


def test_every_file_of_conf_is_a_rung_and_every_rung_resolves(ladder):
    assert sorted(ladder) == SCALES
    for scale, experiment in ladder.items():
        assert experiment.scale == scale
        found = costs(experiment, None, ALONE)
        assert [cost.stage for cost in found][:2] == ["download", "filter"]
        assert all(cost.cpu_gb > 0 and cost.core_hours > 0 for cost in found)


def test_mini_is_counted_as_it_was_measured(ladder):
    """benchmarks/README.md: core-seconds by stage, 82 core-minutes in all, with one training; 72 min on two cores with three."""
    measured = {"train": 2919, "rollout": 893, "tokenizer": 383, "filter": 227, "download": 86, "generate": 27}
    found = {cost.stage: cost for cost in costs(ladder["mini"], None, ALONE)}
    for stage, seconds in measured.items():
        assert found[stage].core_hours * 3600 == pytest.approx(seconds, rel=0.5), stage
    assert sum(cost.core_hours for cost in found.values()) == pytest.approx(82 / 60, rel=0.15)
    default = read_experiment(PARAMS, CONF, plan.changes("mini") | {"trainings": [1, 2, 3]})
    assert hours(default, SMALL) == pytest.approx(71.6 / 60, rel=0.15)
    assert not refused(ladder["mini"], SMALL)


def test_a_night_on_one_gpu_of_24_gb_makes_all_rows_of_table_3(ladder):
    experiment = only(ladder["single"], "table3")
    assert not refused(experiment, ONE_RTX)
    assert not refused(ladder["single"], ONE_RTX)
    assert hours(experiment, ONE_RTX) < 10
    assert len(trained(experiment)) == 7  # two of them again with as many steps as the joint ones
    assert {Size.of(run.config).total for run in trained(experiment)} == {223_693_824}
    assert fewest(ladder["single"], DEVICES, plan.ON_A_GPU) == (RTX_4090, plan.ON_A_GPU)


def test_the_single_scale_builds_its_models_without_memory(ladder):
    for run in trained(ladder["single"]):
        with torch.device("meta"):
            model = Chameleon(run.config)
        assert sum(weight.numel() for weight in model.parameters()) == Size.of(run.config).total
        assert run.ids.size == run.config.vocab_size


def test_a_first_forward_of_the_single_scale_s_samples_runs_without_memory(ladder):
    run = next(run for run in trained(ladder["single"]) if run.name == "action_world_chunk_mask")
    assert [counts(kind, run) for kind in ("action", "world")] == [(584, 46), (548, 259)]
    with torch.device("meta"):
        model = Chameleon(dataclasses.replace(run.config, num_layers=1))
        hidden = model(Part(torch.zeros(1, 584, dtype=torch.long)))
    assert hidden.shape == (584, 1024)


def test_what_a_training_keeps_is_what_torch_keeps_for_gradients():
    """On the meta device, whose kernels are those of a GPU but for attention, which keeps its scores there."""

    def kept(num_layers, tokens):
        config = ChameleonConfig(100, 256, num_layers, 1, 704)
        storages = {}
        with torch.device("meta"):
            model = Chameleon(config)
            model.compute = torch.bfloat16
            weights = {weight.untyped_storage()._cdata for weight in model.parameters()}

            def keep(tensor):
                storages[tensor.untyped_storage()._cdata] = tensor
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                hidden = model(Part(torch.zeros(1, tokens, dtype=torch.long)))
        assert hidden.grad_fn is not None
        return sum(value.untyped_storage().nbytes() for key, value in storages.items() if key not in weights)

    def of_layer(tokens):
        return kept(3, tokens) - kept(2, tokens)

    scores = 4 * (256**2 - 128**2)
    expected = activation_bytes(ChameleonConfig(100, 256, 1, 1, 704), 128, 0.0)
    assert of_layer(256) - of_layer(128) - scores == pytest.approx(expected, rel=0.01)


def test_libero_s_trainings_are_counted_as_they_were_measured(ladder):
    """docs/libero.md: minutes of rows 1, 4 and 5."""
    measured = {"action": 8.8, "action_chunk_mask": 13.9, "action_world_chunk_mask": 26.0}
    for run in trained(ladder["libero"]):
        if run.name in measured:
            assert 60 * training_hours(run, Speed(None))[0] == pytest.approx(measured[run.name], rel=0.2)


def test_seven_billion_weights_are_refused_with_the_gpus_that_hold_them(ladder):
    one = dataclasses.replace(EIGHT_H100, num_gpus=1)
    (sentence,) = [fault for fault in refused(ladder["paper"], one) if fault.startswith("train")]
    assert "7.0 B weights need 140 GB on each H100, 126 GB of them whatever the samples; 79 GB are usable" in sentence
    assert sentence.endswith("smallest change: training_processes: 2, training_tokens: 8192 in machine.yaml (2 x H100)")
    two = dataclasses.replace(one, num_gpus=2)
    assert not refused(ladder["paper"], two, training_tokens=8192)
    (sentence,) = refused(ladder["paper"], two)
    assert sentence.endswith("smallest change: training_tokens: 8192 in machine.yaml")
    (sentence,) = refused(ladder["paper"], two, training_recompute=False, training_tokens=8192)
    assert sentence.endswith("smallest change: training_recompute: true in machine.yaml")
    assert not refused(ladder["paper"], EIGHT_H100)
    (sentence,) = refused(ladder["paper"], one, training_processes=2, training_tokens=8192)
    assert sentence == (
        "train: machine.yaml spreads it over 2 processes; this machine has 1 of H100; smallest change: training_processes: 1 in "
        "machine.yaml"
    )


def test_more_tokens_at_once_need_more_memory_up_to_the_samples_of_a_step(ladder):
    run = next(run for run in trained(ladder["single"]) if run.name == "action_chunk_mask")
    needed = [training_bytes(run, TrainingMachine(tokens=tokens)) for tokens in (1, 584, 1168, 32 * 584, 10**6, None)]
    assert needed[0] == needed[1] < needed[2] < needed[3] == needed[4] == needed[5]
    recomputed = [training_bytes(run, TrainingMachine(tokens=tokens, recompute=True)) for tokens in (584, None)]
    assert all(less < more for less, more in zip(recomputed, (needed[1], needed[5]), strict=True))


def test_each_refusal_s_change_is_enough(ladder):
    (sentence,) = refused(ladder["single"], ONE_RTX, training_recompute=False, training_tokens=40_000)
    assert sentence == (
        "train of action_chunk_mask_h4-spatial: 223.7 M weights need 43 GB on each RTX 4090, 4.0 GB of them whatever the samples; 24 GB "
        "are usable; smallest change: training_recompute: true in machine.yaml"
    )
    assert not refused(ladder["single"], ONE_RTX, training_recompute=True, training_tokens=40_000)
    crowded = dataclasses.replace(ONE_RTX, workers=4)
    assert refused(ladder["single"], crowded) == [
        "rollout: 4 workers of 22 GB, simulators among it, need 87 GB of memory; 59 GB are usable; smallest change: workers: 2 "
        "in machine.yaml"
    ]
    assert not refused(ladder["single"], dataclasses.replace(crowded, workers=2))
    little = dataclasses.replace(ONE_RTX, memory=16e9)
    (sentence,) = refused(ladder["single"], little)
    assert sentence.endswith("rollout.environments: 6 in conf/single.yaml, and workers: 1 in machine.yaml")
    full = dataclasses.replace(ONE_RTX, disk=35e9)
    (sentence,) = refused(ladder["single"], full)
    assert sentence == (
        "disk: 60 GB are needed; 35 GB are free or used for it; smallest change: dvc config --local cache.type "
        "hardlink,symlink, by which nothing lies there twice"
    )


def test_without_a_gpu_the_fewest_that_would_do_are_named(ladder):
    text, faults = plan.report(ladder["paper"], SMALL, ALONE)
    assert "With 1 x H200, the fewest that hold every training:" in text
    assert any("training_tokens: 8192 in machine.yaml (1 x H200)" in fault for fault in faults)
    text, faults = plan.report(ladder["mini"], SMALL, ALONE)
    assert not faults
    assert text.endswith("It fits 2 cores and no GPU: about 0.72 hours.")


def test_every_training_is_counted(ladder):
    settings = plan.changes("mini") | {"trainings": [1, 2, 3]}
    once, thrice = (only(one, "table6") for one in (ladder["mini"], read_experiment(PARAMS, CONF, settings)))
    expected = {
        ("action", True),
        ("action_longer", True),
        ("action_from_world", True),
        ("world", False),
    }  # the last is only trained
    for experiment, numbers in ((once, [1]), (thrice, [1, 2, 3])):
        found = {(run.name, run.training, run.rollout is not None) for run in experiment.runs}
        assert found == {(name, number, rolled) for name, rolled in expected for number in numbers}
    hours = [{cost.stage: cost.core_hours for cost in costs(one, None, ALONE)} for one in (once, thrice)]
    assert hours[1]["train"] == pytest.approx(3 * hours[0]["train"])
    assert hours[1]["filter"] == hours[0]["filter"]


def test_a_page_is_counted_alone(ladder):
    experiment = only(ladder["mini"], "table6")
    assert {run.name for run in experiment.runs} == {"action", "action_longer", "action_from_world", "world"}
    assert [run.name for run in experiment.runs if run.rollout is None] == ["world"]
    assert {params.pixels for _, params in experiment.tokenizers} == {64}
    with pytest.raises(ValueError, match=r"^unknown page 'tabel3'; did you mean 'table3'\?$"):
        only(ladder["mini"], "tabel3")
    assert not costs(only(ladder["mini"], "forensics"), None, ALONE)


def test_policies_are_timed_in_one_process_per_suite_those_with_the_same_chunks_together(ladder):
    (cost,) = [cost for cost in costs(ladder["paper"], H100, ALONE) if cost.stage == "speed"]
    assert cost.num == 4
    assert 3 * 14 < cost.gpu_gb < 3 * 15
    small = dataclasses.replace(EIGHT_H100, gpu=device("A100"))
    sentences = [fault for fault in refused(ladder["paper"], small) if fault.startswith("speed of ")]
    assert len(sentences) == 2 * 4
    assert sentences[0] == (
        "speed of spatial holds action, action_h1, action_h4 together, which need 43 GB on each A100; 40 GB are usable; smallest "
        "change: fewer of them under speed in params.yaml, or a larger GPU"
    )
    settings = plan.changes("paper") | {"trainings": [1], "speed": ["action_h1", "action"]}
    fewer = read_experiment(PARAMS, CONF, settings)
    assert not [fault for fault in refused(fewer, small) if fault.startswith("speed of ")]


def test_a_page_with_speeds_counts_all_policies_that_are_timed(ladder):
    settings = plan.changes("mini") | {"trainings": [1, 2], "speed": ["action_h1", "action_chunk"]}
    experiment = only(read_experiment(PARAMS, CONF, settings), "table5")
    assert {(run.name, run.training) for run in experiment.runs if run.speed} == {("action_h1", 1), ("action_chunk", 1)}
    assert [cost.num for cost in costs(experiment, None, ALONE) if cost.stage == "speed"] == [1]


def test_looking_ahead_costs_its_chunks_and_their_frames(ladder):
    experiment = only(ladder["mini"], "planning")
    assert [(run.name, run.rollout is not None) for run in experiment.runs] == [("action_world_chunk_mask", True)]
    found = {cost.stage: cost for cost in costs(experiment, None, ALONE)}
    assert found["rollout_planned"].core_hours > found["rollout"].core_hours
    (run,) = experiment.runs
    assert run.planned is not None
    alone, two = (dataclasses.replace(run, planned=dataclasses.replace(run.planned, candidates=num)) for num in (1, 2))
    for speed in (Speed(None), Speed(H100)):
        asked, drawn = (
            sum(hours) for hours in (query_hours(run, speed, run.planned.environments), frame_hours(run, speed, 10))
        )
        assert sum(planning_hours(alone, speed)) == asked
        frames = 2 * run.planned.chunk * drawn  # of each of two chunks a frame per action
        assert frames + 4 * asked < sum(planning_hours(two, speed)) < frames + 10 * asked


def test_the_authors_checkpoints_are_rolled_out_and_not_trained():
    settings = plan.changes("paper") | {"released": ["released_256"], "suites": ["goal"]}
    experiment = only(read_experiment(PARAMS, CONF, settings), "released")
    (cost,) = costs(experiment, H100, ALONE)
    assert (cost.stage, cost.num) == ("rollout", 1)
    assert 14 < cost.gpu_gb < 20
    assert cost.disk_gb == pytest.approx(2 * 14.03, rel=0.01)
