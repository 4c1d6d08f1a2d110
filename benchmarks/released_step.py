"""The gradients of a training step the release's way, with transformers' Chameleon: what ours are compared with at 7 B.

Logits of every position over the whole vocabulary, in fp32, with a copy for the cross-entropy and one for the z-loss; a dense mask,
made on the CPU of each sample's tokens; hits that are asked of the device token by token; layers that are computed again.

Source: what the released `pretrain_ck.py` and `modeling_xllmx_chameleon_ck.py` do, written anew. Deviations: codes are the true ones
(theirs are off by one), there is no dropout, and hits are asked for with fewer waits, where what is known of theirs is a bound: one
per position and three more per answered one.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import ChameleonForConditionalGeneration

from benchmarks.theirs import additive
from worldvla.model.losses import AnswerLoss
from worldvla.sequences import IGNORED, Sample
from worldvla.vocabulary import Vocabulary


def released_gradients(
    model: ChameleonForConditionalGeneration,
    samples: Sequence[Sample],
    loss: AnswerLoss,
    compute: torch.dtype,
    device: torch.device,
) -> Callable[[], Tensor]:
    """Return what adds a step's gradients to a model's weights, and returns its loss.

    Args:
        model: of ``benchmarks.theirs``.
        samples: of the step.
        loss: how they weigh, read as the release does.
        compute: type of products.
        device: of the model.
    """
    model.train().gradient_checkpointing_enable({"use_reentrant": False})
    ids = loss.ids
    weights = torch.ones(ids.size, device=device)
    weights[ids.first_code : ids.first_code + ids.num_codes] = loss.alpha

    def gradients() -> Tensor:
        tokens, labels = (
            torch.from_numpy(_padded([getattr(sample, name) for sample in samples], value)).to(device)
            for name, value in (("tokens", 0), ("labels", IGNORED))
        )
        mask = additive(mask_of_tokens(tokens, ids), compute)
        with torch.autocast(device.type, compute, enabled=compute is not torch.float32):
            hidden = model.model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            logits = model.lm_head(hidden).float()
        following = labels[:, 1:].contiguous().flatten()
        cross_entropy = F.cross_entropy(
            logits[:, :-1].contiguous().flatten(0, 1), following, weights, ignore_index=IGNORED
        )
        partitions = logits[:, :-1].contiguous().flatten(0, 1)[following != IGNORED].logsumexp(dim=-1)
        z = partitions.square().mean()
        total = cross_entropy + loss.z_weight * z
        hits(logits[:, :-1].argmax(dim=-1).flatten(), following, ids)
        total.backward()
        for part in (total, cross_entropy, z):
            part.item()
        return total.detach()

    return gradients


def mask_of_tokens(tokens: Tensor, ids: Vocabulary) -> Tensor:
    """Return who sees whom [batch, query, key] of tokens [batch, length]: behind the last image no action sees another."""
    masks = []
    for row in tokens.cpu().tolist():
        mask = torch.ones(len(row), len(row), dtype=torch.bool).tril()
        images = [place for place, token in enumerate(row) if token == ids.end_image]
        starts, ends = (
            [place for place, token in enumerate(row) if token == marker and place > images[-1]]
            for marker in (ids.begin_action, ids.end_action)
        )
        blocks = list(zip(starts, ends, strict=True))
        for number, (start, end) in enumerate(blocks):
            for earlier, its_end in blocks[:number]:
                mask[start : end + 1, earlier : its_end + 1] = False
        masks.append(mask)
    return torch.stack(masks).to(tokens.device)


def hits(predicted: Tensor, labels: Tensor, ids: Vocabulary) -> tuple[float, float]:
    """Return the shares of right bins and of other right tokens among the answered, of tokens [positions] looked at one by one."""
    right, asked = [0, 0], [0, 0]
    for guess, label in zip(predicted, labels, strict=True):
        if label == IGNORED:
            continue
        kind = 0 if label >= ids.first_bin and label < ids.first_bin + ids.num_bins else 1
        asked[kind] += 1
        right[kind] += int(guess == label)
    return right[0] / max(1, asked[0]), right[1] / max(1, asked[1])


def _padded(rows: list[np.ndarray], value: int) -> np.ndarray:
    out = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out
