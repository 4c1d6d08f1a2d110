"""Attention by torch's flex_attention, which reads who sees whom instead of a dense mask: to be compared, in no product."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from worldvla.masks import SHARED
from worldvla.model import kernels

compiled = torch.compile(flex_attention, dynamic=False)


def flexible(lanes: Tensor, attend: Callable = compiled) -> Callable[..., Tensor]:
    """Return what stands in for ``kernels.attention`` where sequences have these lanes [batch, length] (see ``masks``).

    Where a layer answers some queries alone it stays the plain one: its mask has no triangle.
    """
    plain, (batch, length) = kernels.attention, lanes.shape

    def sees(sample: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        asking, asked = lanes[sample, query], lanes[sample, key]
        return (query >= key) & ((asking == asked) | (asking == SHARED) | (asked == SHARED))

    blocks = create_block_mask(sees, batch, None, length, length, device=str(lanes.device))

    def attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        if queries.shape[2] != length:
            return plain(queries, keys, values, bias)
        return attend(queries, keys, values, block_mask=blocks)

    return attention
