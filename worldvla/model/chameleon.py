"""Chameleon, the transformer of WorldVLA (paper section 3.1), in plain torch.

One decoder over one vocabulary of text, image and action tokens: RMSNorm, attention with normalised queries and keys and
rotary positions, SwiGLU, residuals, embedding and head apart. The weights have the published names and shapes.

Sources: Chameleon (arXiv 2405.09818, section 2.3) and the released `modeling_xllmx_chameleon_ck.py`: one norm of queries and
one of keys for all heads, dropout on what attention and MLP add. Deviation: norms and rotary positions are computed in fp32
whatever the weights are. Under the action mask nothing but positions tells the actions of a chunk apart.
Deviation at the small scales: a model that starts from nothing is told the positions once more, by ``position_rms``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from worldvla.model import kernels
from worldvla.model.config import ChameleonConfig
from worldvla.model.kernels import Turn
from worldvla.model.parts import Part, View, wanted_of

# Of hidden states [wanted, hidden_size] and the head's weight [vocabulary, hidden_size].
Answer = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class Chameleon(nn.Module):
    """Tokens in, hidden states out; ``lm_head`` makes logits of those.

    Products are of the type ``compute``, that of the weights if absent, in which the hidden states come out too; residuals
    keep the type of the weights.
    """

    compute: torch.dtype | None = None

    def __init__(self, config: ChameleonConfig, dropout: float = 0.0) -> None:
        """Build without setting the weights.

        Args:
            config: sizes.
            dropout: share of what attention and MLP add that is dropped in training; 0.05 in the release.
        """
        super().__init__()
        self.config = config
        self.model = Decoder(config, dropout)
        self.lm_head = Head(config.hidden_size, config.vocab_size)

    @property
    def type_of_products(self) -> torch.dtype:
        """The type of products, hidden states, keys and values."""
        return self.compute or self.lm_head.weight.dtype

    def forward(self, *parts: Part, answer: Answer | None = None) -> Any:
        """Return the last hidden states of the wanted queries of all parts, one after the other [wanted, hidden_size].

        Parts share everything but attention: sequences of different lengths need no padding to each other.

        Args:
            parts: what goes through together.
            answer: makes of those states and the head's weight what is returned instead; within this call, for processes
                that share a model have its weights only while it is called.
        """
        hidden = self.model(parts, self.type_of_products)
        if answer is not None:
            return self.lm_head(hidden, answer)
        for part in parts:
            if part.cache:
                part.cache.length += part.tokens.shape[1]
        return hidden


class Decoder(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, config: ChameleonConfig, dropout: float) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, dropout, number) for number in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.eps)

    def forward(self, parts: tuple[Part, ...], compute: torch.dtype) -> Tensor:
        """Return the hidden states of the wanted queries [wanted, hidden_size]."""
        views = [View(part, self.config, compute) for part in parts]
        x = self.embed_tokens(torch.cat([part.tokens.flatten() for part in parts]))
        if self.config.position_rms:
            x = x + torch.cat([view.waves() for view in views]).to(x.dtype)
        for layer in self.layers[:-1]:
            x = layer(x, views, None, compute)
        rows = [part.rows for part in parts if part.rows is not None]
        wanted = None
        if rows:
            wanted = wanted_of(views, rows)
            views = [view.of_rows(some) for view, some in zip(views, rows, strict=True)]
        return self.norm(self.layers[-1](x, views, wanted, compute), compute)


class Layer(nn.Module):
    """Attention and MLP, each added to the residuals.

    With ``recompute`` a training keeps of it nothing but its input, and computes it again for the gradients: the same bits, with
    the same dropped.
    """

    recompute = False

    def __init__(self, config: ChameleonConfig, dropout: float, number: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.eps)
        self.self_attn = Attention(config, number)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.eps)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, views: list[View], wanted: Tensor | None, compute: torch.dtype) -> Tensor:
        """Return the residuals behind this layer, of the wanted tokens only: [tokens, hidden_size] -> [wanted, hidden_size]."""
        if self.recompute and torch.is_grad_enabled():
            # Inside this call, not around it: what shares out the weights gathers them around it, once for both.
            return checkpoint(self._computed, x, views, wanted, compute, use_reentrant=False)
        return self._computed(x, views, wanted, compute)

    def _computed(self, x: Tensor, views: list[View], wanted: Tensor | None, compute: torch.dtype) -> Tensor:
        added = self.self_attn(self.input_layernorm(x, compute), views, wanted)
        x = _select(x, wanted) + self.dropout(added)
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x, compute)))


class Attention(nn.Module):
    """Attention of several heads with normalised queries and keys."""

    def __init__(self, config: ChameleonConfig, number: int) -> None:
        super().__init__()
        self.number = number
        width = config.hidden_size
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (Linear(width, width) for _ in range(4))
        self.q_norm, self.k_norm = QKNorm(config.head_dim), QKNorm(config.head_dim)

    def forward(self, x: Tensor, views: list[View], wanted: Tensor | None) -> Tensor:
        """Return what attention adds [wanted, hidden_size]."""
        all_keys, all_values = self.k_proj(x), self.v_proj(x)
        all_queries = self.q_proj(_select(x, wanted))
        sizes = [view.num_keys for view in views], [view.num_queries for view in views]
        attended = []
        for view, queries, keys, values in zip(
            views, all_queries.split(sizes[1]), all_keys.split(sizes[0]), all_values.split(sizes[0]), strict=True
        ):
            queries = self.q_norm(view.heads(queries), view.query_turn)
            keys = self.k_norm(view.heads(keys), view.key_turn)
            values = view.heads(values).transpose(1, 2)
            if view.cache:
                keys, values = view.cache.extended(self.number, keys, values)
            attended.append(
                kernels.attention(queries, keys, values, view.bias).transpose(1, 2).flatten(0, 1).flatten(1)
            )
        return self.o_proj(torch.cat(attended) if len(attended) > 1 else attended[0])


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ChameleonConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the MLP adds."""
        return self.down_proj(kernels.swiglu(self.gate_proj(x), self.up_proj(x)))


class Linear(nn.Linear):
    """A product without bias, of the type of its input."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(width, out, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the product [..., out]."""
        return F.linear(input, self.weight.to(input.dtype))


class Head(Linear):
    """From hidden states to logits, or to what is made of them in blocks."""

    def forward(self, input: Tensor, answer: Answer | None = None) -> Any:
        """Return the logits [..., out], or what ``answer`` makes of the states and the weight."""
        return super().forward(input) if answer is None else answer(input, self.weight)


class RMSNorm(nn.Module):
    """Root mean square normalisation."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the normalised x as a type."""
        return kernels.rms_norm(x.float(), self.weight.float(), self.eps).to(dtype)


class QKNorm(nn.Module):
    """Layer normalisation of every head's queries or keys, with one weight and bias for all heads, and their turning."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, head_dim))  # [ranks of the published training, head_dim]
        self.bias = nn.Parameter(torch.zeros(1, head_dim))

    def forward(self, x: Tensor, turn: Turn) -> Tensor:
        """Return x [batch, query, heads, head_dim] normalised and turned [batch, heads, query, head_dim]."""
        return kernels.norm_and_turn(x, self.weight[0].float(), self.bias[0].float(), turn)


def _select(x: Tensor, wanted: Tensor | None) -> Tensor:
    return x if wanted is None else x.index_select(0, wanted)
