"""What goes through the transformer together: sequences of one length, who sees whom in them, and what is remembered."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from worldvla.model import kernels
from worldvla.model.config import ChameleonConfig
from worldvla.model.kernels import Turn

LONGEST = 1000.0  # wave, in tokens per radian


class Cache:
    """Keys and values of a batch of sequences, allocated once: what new tokens see of earlier ones."""

    def __init__(
        self, config: ChameleonConfig, batch: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """Allocate for ``capacity`` tokens of each sequence."""
        shape = (config.num_layers, 2, batch, config.num_heads, capacity, config.head_dim)
        self._entries = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0  # tokens stored

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values [batch, heads, new, head_dim]; return them behind the earlier ones."""
        entries = self._entries[layer, :, :, :, : self.length + keys.shape[2]]
        entries[0, :, :, self.length :] = keys
        entries[1, :, :, self.length :] = values
        return entries[0], entries[1]


@dataclass(frozen=True)
class Part:
    """Sequences of one length that go through the model together.

    Attributes:
        tokens: ids [batch, query].
        mask: boolean [batch or 1, query, key], True where visible; keys are the cached tokens, then the new ones. Without one
            they are causal, by a kernel that reads no mask: then no token may be cached, or one alone be new.
        positions: what the rotary embedding turns by [batch or 1, query]; counted on from the cache if absent.
        rows: queries whose hidden states are wanted [batch, rows]; all if absent.
        cache: keys and values so far; grows by the new tokens.
    """

    tokens: Tensor
    mask: Tensor | None = None
    positions: Tensor | None = None
    rows: Tensor | None = None
    cache: Cache | None = None


class View:
    """How the tokens of a part see each other: made once for all layers."""

    def __init__(self, part: Part, config: ChameleonConfig, compute: torch.dtype) -> None:
        self.batch, length = part.tokens.shape
        self.head_dim, self.cache = config.head_dim, part.cache
        num_cached = part.cache.length if part.cache else 0
        assert part.mask is not None or num_cached == 0 or length == 1, "several tokens behind cached ones need a mask"
        positions = part.positions
        if positions is None:
            positions = torch.arange(num_cached, num_cached + length, device=part.tokens.device)[None]
        self.num_keys = self.num_queries = self.batch * length
        self.key_turn = self.query_turn = rotary(positions, config)
        self._positions, self._config = positions, config
        self._mask, self._compute = part.mask, compute
        self.bias = None if part.mask is None else kernels.additive(part.mask, compute)
        if part.mask is None and length > 1 and not kernels.has_causal(part.tokens):
            causal = torch.ones(1, length, length, dtype=torch.bool, device=part.tokens.device).tril()
            self.bias = kernels.additive(causal, compute)

    def of_rows(self, rows: Tensor) -> "View":
        """Return the view of some queries [batch, rows] alone."""
        if self.num_queries == self.batch:
            return self  # one query per sequence: it is the wanted one
        view = copy.copy(self)
        view.num_queries = rows.numel()
        view.query_turn = tuple(_pick(table, rows) for table in self.key_turn)
        if self._mask is None:
            seen = torch.arange(self.num_keys // self.batch, device=rows.device) <= rows[..., None]
        else:
            seen = _pick(self._mask, rows)
        view.bias = kernels.additive(seen, self._compute)
        return view

    def waves(self) -> Tensor:
        """Return what tells the embeddings their positions [batch * tokens, hidden_size]."""
        return waves(self._positions, self._config).expand(self.batch, -1, -1).flatten(0, 1)

    def heads(self, x: Tensor) -> Tensor:
        """Return x [batch * tokens, hidden_size] as [batch, tokens, heads, head_dim]."""
        return x.view(self.batch, -1, x.shape[-1] // self.head_dim, self.head_dim)


def rotary(positions: Tensor, config: ChameleonConfig) -> Turn:
    """Return cosines and signed sines [batch or 1, query, 1, head_dim] of positions [batch or 1, query], in fp32.

    The pairs (i, i + head_dim / 2) turn, as in the published weights.
    """
    halves = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None, None] * config.rope_theta ** (-halves / config.head_dim)
    cosines, sines = angles.cos(), angles.sin()
    return torch.cat([cosines, cosines], dim=-1), torch.cat([-sines, sines], dim=-1)


def waves(positions: Tensor, config: ChameleonConfig) -> Tensor:
    """Return sines and cosines [batch or 1, query, hidden_size] of positions [batch or 1, query], in fp32.

    Their wavelengths grow from 2 pi tokens to ``LONGEST`` times that.

    Source: Vaswani et al., arXiv 1706.03762, section 3.5, where the factor is 10,000.
    """
    halves = torch.arange(0, config.hidden_size, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None] * LONGEST ** (-halves / config.hidden_size)
    return torch.cat([angles.sin(), angles.cos()], dim=-1) * (config.position_rms * 2**0.5)


def _pick(x: Tensor, rows: Tensor) -> Tensor:
    """Return the rows [batch, rows] of x [batch or 1, query, ...]."""
    first = torch.arange(len(rows), device=rows.device)[:, None] if len(x) > 1 else torch.zeros_like(rows)
    return x[first, rows]


def wanted_of(views: list[View], rows: list[Tensor]) -> Tensor:
    """Return the indices of all parts' rows among all tokens [wanted]."""
    assert len(rows) == len(views), "rows are given for all parts or for none"
    wanted, first = [], 0
    for view, some in zip(views, rows, strict=True):
        starts = torch.arange(view.batch, device=some.device)[:, None] * (view.num_keys // view.batch)
        wanted.append((first + starts + some).flatten())
        first += view.num_keys
    return torch.cat(wanted)
