"""Params of the rollout_planned stage."""

from dataclasses import dataclass

from worldvla.params.ranges import POSITIVE, at_least, check
from worldvla.params.rollout import RolloutParams


@dataclass(frozen=True)
class RolloutPlannedParams(RolloutParams):
    """How a policy that looks ahead is run in the simulator: as the greedy one of the same model, and what it chooses among."""

    # Chunks per query: the greedy one and drawn ones, each predicted frame by frame with the world half of the same model.
    # Executed is the one with the highest mean log-probability per bin, of the chunk and of the greedy chunk at the imagined
    # frames behind it, together (worldvla/model/lookahead.py). One: the greedy policy.
    candidates: int
    # By which the logits of the drawn ones are divided. Where bins have a bell-shaped distribution, one that is drawn is half the
    # temperature, in nats, less likely than the greedy one: what it leads to has to make up for that.
    temperature: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check(self, candidates=at_least(1), temperature=POSITIVE)
