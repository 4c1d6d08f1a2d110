"""What changes the weights: AdamW, or Muon for the matrices of the layers and AdamW for the rest.

Muon makes every step of a matrix an orthogonal one, so that no direction of it is left behind. Embeddings, norms and the head stay AdamW's, as its authors advise.
"""

import torch

from worldvla.model.chameleon import Chameleon
from worldvla.model.muon import Muon
from worldvla.params.train import TrainParams

# By optimizer: what it keeps of a weight, in its shape.
MOMENTS = {torch.optim.AdamW: ("exp_avg", "exp_avg_sq"), Muon: ("momentum_buffer",)}
MOMENTUM = 0.95
PEAK = "peak"  # of a group: its rate between warm-up and decay


class Optimizers:
    """The one or two optimizers of a training; weights are known by their names."""

    def __init__(self, model: Chameleon, params: TrainParams) -> None:
        """Take the model, whose weights may be shared out, and its rates."""
        self.weights = dict(model.named_parameters())  # those that stay: while they are gathered, the model has others
        muon_rate = params.muon_learning_rate
        matrices = [
            name
            for name in self.weights
            if muon_rate is not None and ".layers." in name and name.endswith("_proj.weight")
        ]
        others = [weight for name, weight in self.weights.items() if name not in matrices]
        self._adamw = torch.optim.AdamW(
            others, lr=params.learning_rate, betas=(0.9, 0.95), weight_decay=params.weight_decay, fused=True
        )
        self._of: dict[str, torch.optim.Optimizer] = dict.fromkeys(self.weights, self._adamw)
        if muon_rate is not None:
            muon = Muon(
                [self.weights[name] for name in matrices],
                lr=muon_rate,
                weight_decay=params.weight_decay,
                momentum=MOMENTUM,
            )
            self._of |= dict.fromkeys(matrices, muon)
        self._all = list(dict.fromkeys(self._of.values()))
        for group in self._groups():
            group[PEAK] = group["lr"]

    def step(self, share: float) -> None:
        """Change the weights by their gradients, at a share of the peak rates, and forget the gradients."""
        for group in self._groups():
            group["lr"] = share * group[PEAK]
        for optimizer in self._all:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def moments(self) -> dict[str, torch.Tensor]:
        """Return what is kept of all weights, by ``<moment>.<weight>``; filled in place, it is what goes on.

        Where there is nothing yet, it is zeros.
        """
        found = {}
        for name, weight in self.weights.items():
            optimizer = self._of[name]
            state = optimizer.state[weight]
            for moment in MOMENTS[type(optimizer)]:
                found[f"{moment}.{name}"] = state.setdefault(moment, torch.zeros_like(weight.detach()))
        return found

    def go_on(self, num_steps: int) -> None:
        """Let the moments be those after so many steps."""
        for group in self._adamw.param_groups:  # Muon counts no steps
            for weight in group["params"]:
                self._adamw.state[weight]["step"] = torch.tensor(
                    float(num_steps), device=weight.device
                )  # as it keeps it

    def forget(self) -> None:
        """Forget all moments."""
        for optimizer in self._all:
            optimizer.state.clear()

    def _groups(self) -> list[dict]:
        return [group for optimizer in self._all for group in optimizer.param_groups]
