"""A decoding as CUDA graphs: a query of 7 B starts some ten thousand kernels, which takes the CPU as long as they run."""

from collections.abc import Callable

import torch
from torch import Tensor

KEPT = 32  # recordings, those that were asked for last; each has some thousand nodes


class Graphs:
    """A decoding of prompts, recorded once per shape of theirs and then replayed; on a CPU the decoding itself.

    The kernels are those of the decoding, in the same order: the tokens are the same. What a recording holds beside its
    prompts and its answer, all recordings share.
    """

    def __init__(self, decode: Callable[[Tensor], Tensor]) -> None:
        """Record nothing yet.

        Args:
            decode: from prompts [batch, P] to tokens; copies nothing from the host and waits for nothing.
        """
        self._decode = decode
        self._recorded: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, prompts: Tensor) -> Tensor:
        """Return the tokens of prompts [batch, P]."""
        if not prompts.is_cuda:
            return self._decode(prompts)
        recorded = self._recorded.pop(prompts.shape, None) or self._record(prompts)
        self._recorded[prompts.shape] = recorded  # last of all
        if len(self._recorded) > KEPT:
            del self._recorded[next(iter(self._recorded))]
        graph, given, answer = recorded
        given.copy_(prompts)
        graph.replay()
        return answer.clone()

    def _record(self, prompts: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = prompts.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries set themselves up at a first run, which must not be recorded
            self._decode(given)
        torch.cuda.current_stream().wait_stream(aside)
        pool = next((graph.pool() for graph, *_ in self._recorded.values()), None)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            answer = self._decode(given)
        return graph, given, answer
