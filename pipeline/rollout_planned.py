"""Stage rollout_planned: as rollout, of a policy that looks ahead with the world half of its model.

Which chunks a query chooses among, and by what: ``worldvla/model/lookahead.py``. Cost: about that of ``rollout``'s queries times
the candidates, and a predicted frame for every action of each (``./run plan``).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.rollout import roll_out
from worldvla.params import strict
from worldvla.params.rollout_planned import RolloutPlannedParams
from worldvla.running import console

if TYPE_CHECKING:
    from worldvla.model.lookahead import PlanningPolicy


def main(*, params: Path, model: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Run every task from its first initial states and write one row per episode, and a few videos."""
    settings = strict.read(RolloutPlannedParams, params)
    roll_out(settings, load_policy, "rollout_planned", model, tokenizer, out, timing)


def load_policy(settings: RolloutPlannedParams, model: Path, tokenizer: Path) -> "PlanningPolicy":
    """Load the trained policy with what it chooses among; in a worker."""
    # Not at the top: processes of simulators and the stage's own need no torch.
    from worldvla.model.lookahead import PlanningPolicy, Search

    search = Search(settings.candidates, settings.temperature, settings.seed)
    return PlanningPolicy.load(model, tokenizer, settings.no_bin, settings.graphs, settings.environments, search)


if __name__ == "__main__":
    console.run(main)
