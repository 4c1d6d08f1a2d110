"""A policy that looks ahead: it imagines where chunks of actions lead, and executes the one with the likeliest future."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldvla.files import value_digest
from worldvla.model import sampling
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.trained import TrainedModel
from worldvla.model.world import WorldModel
from worldvla.params.rollout import NoBin
from worldvla.sequences import action_prompt, action_sample

Bins = NDArray[np.int64]  # of a chunk [K, 7]
Codes = NDArray[np.uint16]  # of some frames [m, n], oldest first


@dataclass(frozen=True)
class Search:
    """Among how many chunks a query chooses, the greedy one among them; the temperature of the others; a seed of theirs."""

    candidates: int
    temperature: float
    seed: int


GREEDY = Search(candidates=1, temperature=1.0, seed=0)  # nothing is drawn


class PlanningPolicy(ChameleonPolicy):
    """The best of several chunks, by what the world half of the same model says that they lead to.

        query -> chunk 0: greedy    -> K imagined frames -> greedy chunk there     score 0
              -> chunk 1: drawn     -> K imagined frames -> greedy chunk there     score 1
              -> ...                                                               the highest is executed

    The score is the mean log-probability per bin of the chunk and of the greedy chunk behind it, together: a beam search over
    two chunks through the imagined world. It prefers futures in which the policy knows what to do; nobody tells it what a good
    one is. A greedy answer that is none (``no_bin``) is none here too, whatever could be drawn; in an imagined future it makes
    the chunk that leads there the last to be chosen. Imagined codes are given back as they are, as `WorldModel` does without
    ``reencode``.

    What is drawn follows from the seed and the query alone, so that a row is answered as if it were alone.

    Source: ours. Section 2 of the paper names planning with world models, and has none.
    """

    def __init__(
        self, model: TrainedModel, no_bin: NoBin = "fail", graphs: bool = False, search: Search = GREEDY
    ) -> None:
        """Wrap a model.

        Args:
            model: trained on samples of actions and of the world.
            no_bin: what becomes of a greedy answer with a token that is no bin.
            graphs: whether greedy decoding on a GPU is recorded and replayed.
            search: among which chunks to choose.

        Raises:
            ValueError: the model was trained on other samples.
        """
        if not {"action", "world"} <= set(model.settings.samples):
            raise ValueError(
                f"planning: the model was trained on {' and '.join(model.settings.samples)} samples, expected action and world "
                "among them; correct the list planning in params.yaml"
            )
        super().__init__(model, no_bin, graphs)
        self._world, self._search = WorldModel(model), search

    @classmethod
    def load(
        cls,
        model: Path,
        tokenizer: Path,
        no_bin: NoBin = "fail",
        graphs: bool = False,
        batch: int = 1,
        search: Search = GREEDY,
    ) -> "PlanningPolicy":
        """Load a run's model and its suite's tokenizers, to be asked ``batch`` questions at a time; see `TrainedModel.load`."""
        return cls(TrainedModel.load(model, tokenizer, "action", batch * search.candidates), no_bin, graphs, search)

    def act(self, languages: list[str], histories: list[NDArray[np.uint16]]) -> list[NDArray[np.float64] | None]:
        """Return one chunk of commands [K, 7] per query, or None; arguments as of `ChameleonPolicy.act`."""
        answers: list[NDArray[np.float64] | None] = [None] * len(languages)
        greedy = {number: bins for number, bins in enumerate(self._greedy(languages, histories)) if bins is not None}
        asked = [languages[number] for number in greedy], [histories[number] for number in greedy]
        for number, bins in zip(greedy, self._best(*asked, list(greedy.values())), strict=True):
            answers[number] = self._model.actions.decode(bins)
        return answers

    def _best(self, languages: list[str], histories: list[Codes], greedy: list[Bins]) -> list[Bins]:
        """Return of every query the chunk with the highest score; of equal ones the first, which the greedy chunk is."""
        num = self._search.candidates
        if num == 1 or not greedy:
            return greedy
        drawn = iter(self._drawn(languages, histories))
        chunks = [bins for first in greedy for bins in (first, *(next(drawn) for _ in range(num - 1)))]
        languages, histories = _each(languages, num), _each(histories, num)
        imagined = self._imagined(histories, chunks)
        scores = self._likelihood(languages, histories, chunks) + self._likelihood(
            languages, imagined, self._greedy(languages, imagined)
        )
        best = scores.reshape(-1, num).argmax(axis=1)
        return [chunks[query * num + place] for query, place in enumerate(best)]

    def _greedy(self, languages: list[str], histories: list[Codes]) -> list[Bins | None]:
        """Return the likeliest chunk of every query; None where ``no_bin`` says that it is none."""
        ids, answers = self._model.ids, list[Bins | None]()
        for tokens in self._decoded(languages, histories, lambda prompts, rows: self._decode(prompts)):
            bins = tokens - ids.first_bin
            if self._no_bin == "clamp":
                bins = bins.clip(0, ids.num_bins - 1)
            answers.append(bins if ((bins >= 0) & (bins < ids.num_bins)).all() else None)
        return answers

    def _drawn(self, languages: list[str], histories: list[Codes]) -> list[Bins]:
        """Return the other candidates, one query after the other."""
        model, search = self._model, self._search
        num, ids = search.candidates - 1, model.ids
        shape = num, model.settings.chunk, 7, ids.num_bins
        noise = np.concatenate(
            [
                np.random.default_rng(_seed(search.seed, language, history)).gumbel(size=shape).astype(np.float32)
                for language, history in zip(languages, histories, strict=True)
            ]
        )

        def draw(prompts: Tensor, rows: list[int]) -> Tensor:
            own = torch.from_numpy(noise[rows]).to(model.device)
            return sampling.draw(model.transformer, ids, prompts, model.settings.mask, own, search.temperature)

        tokens = self._decoded(_each(languages, num), _each(histories, num), draw)
        return [chunk - ids.first_bin for chunk in tokens]

    def _decoded(
        self, languages: list[str], histories: list[Codes], decode: Callable[[Tensor, list[int]], Tensor]
    ) -> list[Bins]:
        """Return the tokens [K, 7] of every query, as ``decode`` makes them of prompts of one length and of their numbers."""
        model = self._model
        prompts = [
            action_prompt(model.ids, model.prompt("action", language), list(history))
            for language, history in zip(languages, histories, strict=True)
        ]
        found: dict[int, Bins] = {}
        for rows in _alike(prompt.size for prompt in prompts):
            batch = torch.from_numpy(np.stack([prompts[row] for row in rows])).to(model.device)
            found.update(zip(rows, decode(batch, rows).cpu().numpy(), strict=True))
        return [found[row] for row in range(len(prompts))]

    def _imagined(self, histories: list[Codes], chunks: list[Bins]) -> list[Codes]:
        """Return the frames that the policy would see once each chunk was executed, as far as they reach."""
        commands = self._model.actions.decode(np.stack(chunks))
        behind = np.zeros_like(commands[:, :1])  # the last command leads to no frame of a clip
        last = np.stack([history[-1] for history in histories])
        clips = self._world.predict(last, np.concatenate([commands, behind], axis=1))[:, 1:]
        return [
            np.concatenate([history, clip])[-self.history :] for history, clip in zip(histories, clips, strict=True)
        ]

    def _likelihood(
        self, languages: list[str], histories: list[Codes], chunks: Sequence[Bins | None]
    ) -> NDArray[np.float64]:
        """Return the mean log-probability per bin of a chunk behind each query; of no chunk that of the impossible."""
        model, scores = self._model, np.full(len(chunks), -np.inf)
        samples = {
            row: action_sample(model.ids, model.prompt("action", languages[row]), list(histories[row]), bins)
            for row, bins in enumerate(chunks)
            if bins is not None
        }
        numbers = list(samples)
        for places in _alike(sample.layout.length for sample in samples.values()):
            rows = [numbers[place] for place in places]
            found = sampling.log_probabilities(
                model.transformer, model.ids, [samples[row] for row in rows], model.settings.mask
            )
            scores[rows] = found.double().mean(dim=(1, 2)).cpu().numpy()
        return scores


def _seed(seed: int, language: str, history: Codes) -> int:
    """Return the seed of what is drawn for a query: of nothing but the query."""
    return int(value_digest([seed, language, history.tolist()]), 16)


def _each(some: list, times: int) -> list:
    """Return every entry so often in a row."""
    return [one for one in some for _ in range(times)]


def _alike(sizes: Iterable[int]) -> Iterable[list[int]]:
    """Return the numbers of those of one size, group by group: a batch has no padding."""
    groups: dict[int, list[int]] = defaultdict(list)
    for number, size in enumerate(sizes):
        groups[size].append(number)
    return groups.values()
