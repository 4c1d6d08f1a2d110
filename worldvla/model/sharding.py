"""A model's weights spread over processes: torch's own `fully_shard`, layer by layer.

A process holds its rows of every weight; those of a layer are gathered while the layer is computed. Where there is one
process, nothing of this is used.
"""

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from worldvla.model.chameleon import Chameleon
from worldvla.model.ranks import Ranks

# By kind of device: the type in which weights are gathered, and that in which their gradients are added up.
POLICIES = {
    "cpu": MixedPrecisionPolicy(cast_forward_inputs=False),
    "cuda": MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False),
}


def shard(model: Chameleon, ranks: Ranks) -> None:
    """Spread a model over the processes; its weights may be on the meta device.

    On a GPU the weights are gathered as bf16 and their gradients added up in fp32, from and to weights in fp32; products then
    find them in the type that they want, and cast nothing. On a CPU they are gathered as they are: it is the products that cast, as in
    one process. Norms and rotary positions are computed in fp32 everywhere (``chameleon``).

    Gradients are added up, not averaged: every process divides its loss by the weight of the whole step. They are after every
    forward, not after the last of a step alone: between forwards a process holds its rows of their sum, not those of all.
    """
    mesh = ranks.mesh
    assert mesh is not None, "one process shares nothing"
    policy = POLICIES[mesh.device_type]
    decoder = model.model
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    # Needed last forwards and first backwards: they stay between.
    fully_shard([decoder.norm, model.lm_head], mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other with a factor
            module.set_gradient_divide_factor(1.0)


def release(model: Chameleon) -> None:
    """Let go of weights that a forward has gathered and no backward follows."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def gathered(model: Chameleon, ranks: Ranks) -> Chameleon | None:
    """Return the whole model on the CPU of the first process, tensor by tensor; None on the others."""
    if ranks.mesh is None:
        return model.to("cpu")
    with torch.device("meta"):
        whole = Chameleon(model.config)
    for name, value in model.state_dict().items():
        full = value.full_tensor() if isinstance(value, DTensor) else value
        if ranks.first:
            # Copied: where rows are shared unevenly it is a part of something larger.
            whole.load_state_dict({name: full.to("cpu", copy=True)}, strict=False, assign=True)
    return whole.requires_grad_(True) if ranks.first else None
