"""Pieces of a layer between its products: as torch has them, and for training on a CPU with gradients by hand.

There a training waits for memory as long as for products; by hand each piece reads and writes about half as much. Both forms
are equal to rounding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

Turn = tuple[Tensor, Tensor]  # cosines and signed sines [batch or 1, query, 1, head_dim]

QK_EPS = 1e-5  # of the norms of queries and keys: in no config


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return x [..., width] divided by the root of its mean square, times a weight [width]; all in fp32."""
    return _RMSNorm.apply(x, weight, eps) if _by_hand(x) else F.rms_norm(x, weight.shape, weight, eps)


def norm_and_turn(x: Tensor, weight: Tensor, bias: Tensor, turn: Turn) -> Tensor:
    """Return queries or keys [batch, query, heads, head_dim] normalised and turned [batch, heads, query, head_dim].

    Computed in fp32 and returned in the type of x; weight and bias [head_dim] are those of every head.
    """
    if _by_hand(x):
        return _NormAndTurn.apply(x, weight, bias, *turn)
    return _turned(F.layer_norm(x.float(), weight.shape, weight, bias, QK_EPS), turn).to(x.dtype).transpose(1, 2)


def attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Return what queries see of values [batch, heads, query, head_dim].

    Args:
        queries: [batch, heads, query, head_dim].
        keys: [batch, heads, key, head_dim].
        values: as the keys.
        bias: of ``additive``; None: causal, or all keys for a single query.
    """
    if bias is None or not _by_hand(queries):
        causal = bias is None and queries.shape[2] > 1
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, is_causal=causal)
    batch, heads = queries.shape[:2]
    bias = bias.expand(batch, heads, -1, -1).flatten(0, 1)
    flat = (tensor.flatten(0, 1) for tensor in (queries, keys, values))
    return _Attention.apply(*flat, bias).unflatten(0, (batch, heads))


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Return silu(gate) * up."""
    return _SwiGLU.apply(gate, up) if _by_hand(gate) else F.silu(gate) * up


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a boolean mask [batch, query, key], True where visible, as the summand of scores [batch, 1, query, key].

    The only place where a mask stops being boolean: attention adds whatever it gets, and a boolean would pass silently wrong.
    """
    assert mask.dtype is torch.bool, "masks are boolean everywhere else"
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)[:, None]


def has_causal(tokens: Tensor) -> bool:
    """Return whether attention needs no bias to be causal where these tokens are."""
    return not _by_hand(tokens)


def _by_hand(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_grad_enabled()


def _turned(x: Tensor, turn: Turn) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of x [..., head_dim]."""
    cosines, sines = turn
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, dims=-1), sines)


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = torch.linalg.vecdot(x, x).div_(x.shape[-1]).add_(eps).rsqrt_()[..., None]
        normal = x * scale
        ctx.save_for_backward(normal, scale, weight)
        return normal * weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        normal, scale, weight = ctx.saved_tensors
        to_normal = gradient * weight
        along = torch.linalg.vecdot(to_normal, normal).div_(-normal.shape[-1])[..., None]
        to_x = to_normal.addcmul_(normal, along).mul_(scale)
        return to_x, (gradient * normal).flatten(0, -2).sum(dim=0), None


class _NormAndTurn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        wide = x.float()
        normal, mean, scale = torch.native_layer_norm(wide, weight.shape, weight, bias, QK_EPS)
        ctx.save_for_backward(wide, mean, scale, weight, bias, cosines, sines)
        ctx.dtype = x.dtype
        out = x.new_empty(x.shape[0], x.shape[2], x.shape[1], x.shape[3])
        return out.copy_(_turned(normal, (cosines, sines)).transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wide, mean, scale, weight, bias, cosines, sines = ctx.saved_tensors
        gradient = torch.empty_like(wide).copy_(gradients[0].transpose(1, 2))
        back = (gradient * sines).roll(wide.shape[-1] // 2, dims=-1).addcmul_(gradient, cosines)
        to_x, to_weight, to_bias = torch.ops.aten.native_layer_norm_backward(
            back, wide, weight.shape, mean, scale, weight, bias, [True, True, True]
        )
        return to_x.to(ctx.dtype), to_weight, to_bias, None, None


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        scores = torch.baddbmm(bias, queries, keys.transpose(1, 2), alpha=queries.shape[-1] ** -0.5)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(queries.dtype)
        out = weights @ values
        ctx.save_for_backward(queries, keys, values, weights, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, weights, out = ctx.saved_tensors
        gradient, scale = gradients[0].contiguous(), queries.shape[-1] ** -0.5
        # The gradient of a softmax is its weights times (what came in - the mean of what came in under the weights).
        mean = torch.linalg.vecdot(gradient.float(), out.float()).to(out.dtype)[..., None]
        to_scores = torch.baddbmm(mean.expand_as(weights), gradient, values.transpose(1, 2), beta=-1).mul_(weights)
        to_queries = torch.baddbmm(queries, to_scores, keys, beta=0, alpha=scale)
        to_keys = torch.baddbmm(keys, to_scores.transpose(1, 2), queries, beta=0, alpha=scale)
        return to_queries, to_keys, weights.transpose(1, 2) @ gradient, None


class _SwiGLU(Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        active = F.silu(gate)
        ctx.save_for_backward(gate, up, active)
        return active * up

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        gate, up, active = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient * up, gate), active * gradient
