"""Training of the image tokenizer: a fixed number of steps, deterministic, and resumable bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldvla.data.frame_sources import Frames
from worldvla.params.tokenizer import TokenizerParams
from worldvla.running.checkpoints import checkpoint_file, read_checkpoint
from worldvla.running.console import Progress
from worldvla.tokenizers.codebook import MovingCodebook
from worldvla.tokenizers.discriminator import PatchDiscriminator, hinge_loss
from worldvla.tokenizers.image import channels_last, to_images
from worldvla.tokenizers.perceptual import PerceptualLoss
from worldvla.tokenizers.reconstruction import foreground, median_frame
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig

COMMITMENT = 0.25  # weight of the encoder's distance to the codebook (van den Oord et al., arXiv 1711.00937)
WARMUP = 50  # steps
DECAY_FROM = 0.3  # share of the steps after which the rate falls linearly
LAST_RATE = 0.03  # share of the rate at the end
RESTART_UNTIL = 0.8  # share of the steps after which unused entries of the codebook stay where they are
CLIP = 1.0  # norm of the gradient


def config(params: TokenizerParams) -> VQGANConfig:
    """Return the sizes of the VQ-GAN that the params ask for."""
    return VQGANConfig(
        num_codes=params.num_codes,
        code_dim=params.code_dim,
        base_channels=params.base_channels,
        channel_multiplier=params.channel_multiplier,
        num_res_blocks=params.num_res_blocks,
        norm_groups=params.norm_groups,
        patch=params.patch,
    )


def train(params: TokenizerParams, frames: Frames, work: Path) -> VQGAN:
    """Train a VQ-GAN on frames, of which every step draws a batch.

    The loss of a step is L1, in which a foreground pixel counts ``1 + foreground_weight`` times, plus the commitment
    of the encoder to the codebook, plus the perceptual distance if its weights are given, plus (from
    ``discriminator_start`` on) the discriminator's verdict on the decoder.

    A checkpoint goes to ``work`` every ``checkpoint_every`` steps; if one is there, training goes on from it and ends
    with the same weights as if it had not been interrupted. ``work`` must be named after everything that decides the
    result, and is the caller's to delete.

    Raises:
        ValueError: the loss is no longer finite, or the weights for the perceptual loss are not what they should be.
    """
    # One thread on a CPU: the bytes do not depend on its cores, and two would wait for each other beside other work, which
    # took this from 190 images/s to 6.
    torch.set_num_threads(1)
    training = _Training(params, frames)
    checkpoint = work / "checkpoint.pt"
    state = read_checkpoint(checkpoint, training.read)
    start = 0 if state is None else training.restore(state)
    bar = Progress(total=params.steps * params.batch, initial=start * params.batch, desc="tokenizer", unit="image")
    for step in range(start, params.steps):
        loss = training.step(step)
        if not np.isfinite(loss):
            raise ValueError(f"tokenizer step {step + 1}: the loss is {loss}; lower tokenizer.learning_rate in conf/")
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        bar.update(params.batch)
        # After the last step, too: what follows may be interrupted as well.
        if (step + 1) % params.checkpoint_every == 0 or step + 1 == params.steps:
            training.save(checkpoint, step + 1)
    bar.close()
    return training.model.cpu().eval()


class _Training:
    """Everything that changes from step to step, and one step of it."""

    def __init__(self, params: TokenizerParams, frames: Frames) -> None:
        self._params, self._frames = params, frames
        self._device = device = "cuda" if torch.cuda.is_available() else "cpu"
        self._median = to_images(median_frame(frames)[None], device)
        with torch.random.fork_rng():
            torch.manual_seed(params.seed)
            self.model = channels_last(VQGAN(config(params)).to(device)).train()
            critic = PatchDiscriminator(params.discriminator_channels)
        self._codebook = MovingCodebook(self.model.quantize.embedding.weight)
        self._learned = [weight for weight in self.model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learned, betas=(0.9, 0.95), weight_decay=1e-4)
        self._critic = channels_last(critic.to(device))
        self._critic_optimizer = torch.optim.AdamW(self._critic.parameters(), betas=(0.5, 0.9), weight_decay=1e-4)
        weights = params.perceptual_weights
        self._perceptual = PerceptualLoss(Path(weights)).to(device) if weights else None

    def step(self, step: int) -> float:
        """Take one step and return its loss. All randomness comes from the seed and the step's number."""
        params = self._params
        order = np.random.default_rng([params.seed, step])
        chosen = order.integers(len(self._frames), size=params.batch)
        generator = torch.Generator().manual_seed(int(order.integers(2**63)))
        images = to_images(self._frames[chosen], self._device)
        self._set_rates(step)

        with self._autocast():
            latents = self.model.latents(images)
        latents = latents.float()
        vectors = latents.permute(0, 2, 3, 1)
        quantized = self._quantize(vectors.detach().reshape(-1, params.code_dim), step, generator).view(vectors.shape)
        commitment = F.mse_loss(vectors, quantized)
        # Straight through: the decoder's gradient reaches the encoder as if nothing had been rounded.
        passed = latents + (quantized.permute(0, 3, 1, 2) - latents).detach()
        with self._autocast():
            decoded = self.model.decode_latents(passed)
        decoded = decoded.float()

        weights = 1 + params.foreground_weight * foreground(images, self._median)
        loss = ((decoded - images).abs() * weights).mean() / weights.mean() + COMMITMENT * commitment
        if self._perceptual is not None:
            loss = loss + self._perceptual(decoded, images)
        adversarial = step >= params.discriminator_start
        if adversarial:
            self._critic.requires_grad_(False)
            with self._autocast():
                deceived = -self._critic(decoded).float().mean()
            loss = loss + self._adversarial_weight(loss, deceived) * deceived
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._learned, CLIP)
        self._optimizer.step()
        if adversarial:
            self._teach_critic(images, decoded.detach())
        return loss.item()

    def _quantize(self, vectors: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """Return the nearest entries of vectors [m, code_dim], and let the codebook follow them."""
        if step == 0:
            self._codebook.start(vectors, generator)
        codes = self.model.quantize.codes(vectors)
        restart = step < RESTART_UNTIL * self._params.steps
        self._codebook.update(vectors, codes, generator, restart)
        return self.model.quantize.embedding(codes)

    def _adversarial_weight(self, loss: Tensor, deceived: Tensor) -> Tensor:
        """Return the weight at which the discriminator's gradient has ``discriminator_weight`` of the loss's own norm.

        Both gradients are taken at the last layer. A fixed weight (0.1) let the discriminator take over the
        short run of ``mini`` and cost about 5 dB; at this one the codes are as good as without a discriminator.

        Source: Esser et al., arXiv 2012.09841, equation 7.
        """
        last = self.model.decoder.conv_out.weight
        own, others = (torch.autograd.grad(part, last, retain_graph=True)[0].norm() for part in (loss, deceived))
        return self._params.discriminator_weight * own / (others + 1e-6)

    def _teach_critic(self, images: Tensor, decoded: Tensor) -> None:
        """Take one step of the discriminator."""
        self._critic.requires_grad_(True)
        with self._autocast():
            real, fake = self._critic(images), self._critic(decoded)
        self._critic_optimizer.zero_grad(set_to_none=True)
        hinge_loss(real.float(), fake.float()).backward()
        self._critic_optimizer.step()

    def _set_rates(self, step: int) -> None:
        """Set the learning rate of a step: linear warm-up, constant, linear decay."""
        done = step / self._params.steps
        rate = self._params.learning_rate * min(1.0, (step + 1) / WARMUP)
        rate *= 1 - (1 - LAST_RATE) * max(0.0, done - DECAY_FROM) / (1 - DECAY_FROM)
        for optimizer in (self._optimizer, self._critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def _autocast(self) -> torch.autocast:
        """Return the context of convolutions in bf16 where that is faster; codebook and losses stay in fp32."""
        fast = self._device == "cuda" or any(
            torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16")
        )
        return torch.autocast(self._device, torch.bfloat16, enabled=fast)

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint after ``step`` steps."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        with checkpoint_file(path) as stream:
            torch.save({"step": step} | parts, stream)

    def read(self, path: Path) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return torch.load(path, map_location=self._device, weights_only=True)

    def restore(self, state: dict[str, Any]) -> int:
        """Go on from a checkpoint's content; return how many steps it has behind it."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return state["step"]

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "codebook": self._codebook,
            "optimizer": self._optimizer,
            "critic": self._critic,
            "critic_optimizer": self._critic_optimizer,
        }
