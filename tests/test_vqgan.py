import dataclasses
from typing import cast

import numpy as np
import pytest
import torch
from transformers import ChameleonVQVAE, ChameleonVQVAEConfig

from worldvla.params.tokenizer import TokenizerParams
from worldvla.tokenizers import vqgan_training
from worldvla.tokenizers.codebook import MovingCodebook
from worldvla.tokenizers.discriminator import PatchDiscriminator, hinge_loss
from worldvla.tokenizers.perceptual import PerceptualLoss
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.tokenizers.vqgan_training import train
from worldvla.tokenizers.weights import load_weights

NARROW = VQGANConfig(num_codes=48, code_dim=8, base_channels=32, channel_multiplier=(1, 1, 2, 2, 4), num_res_blocks=1)
TINY = TokenizerParams(
    vocabulary="compact",
    pixels=32,
    num_codes=16,
    code_dim=4,
    base_channels=8,
    patch=4,
    channel_multiplier=(1, 2, 2),
    num_res_blocks=1,
    norm_groups=4,
    text_size=300,
    actions="fitted",
    text_file=None,
    weights=None,
    foreground_weight=10.0,
    discriminator_channels=4,
    discriminator_start=3,
    discriminator_weight=0.1,
    perceptual_weights=None,
    steps=6,
    batch=4,
    learning_rate=1e-3,
    checkpoint_every=2,
    seed=0,
    digests={},
)


def chameleon(config: VQGANConfig) -> ChameleonVQVAE:
    return ChameleonVQVAE(
        ChameleonVQVAEConfig(
            embed_dim=config.code_dim,
            latent_channels=config.code_dim,
            num_embeddings=config.num_codes,
            base_channels=config.base_channels,
            channel_multiplier=list(config.channel_multiplier),
            num_res_blocks=config.num_res_blocks,
        )
    ).eval()


def moving_square(num_frames: int = 24, side: int = 32) -> np.ndarray:
    frames = np.full((num_frames, side, side, 3), 120, np.uint8)
    for number, frame in enumerate(frames):
        frame[number : number + 6, 4:12] = (200, 30, 30)
    return frames


@torch.inference_mode()
def test_the_encoder_and_the_codes_equal_those_of_transformers_chameleon():
    torch.manual_seed(0)
    theirs = chameleon(NARROW)
    ours = VQGAN(NARROW).eval()
    for value in theirs.state_dict().values():
        value.copy_(torch.randn_like(value) * 0.1 + (value.ndim == 1))
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    # Codes must differ over the image for the comparison to mean anything: put the entries among the latents.
    latents = theirs.quant_conv(theirs.encoder(images))
    theirs.quantize.embedding.weight.copy_(
        latents.permute(0, 2, 3, 1).reshape(-1, 8)[torch.randperm(32)[:48] % 32].repeat(2, 1)[:48]
    )

    unknown = ours.load_state_dict(theirs.state_dict(), strict=False)
    expected = theirs.encode(cast(torch.LongTensor, images))
    assert expected.image_tokens is not None

    assert unknown.unexpected_keys == []
    assert all(name.startswith("decoder.") for name in unknown.missing_keys)
    torch.testing.assert_close(ours.encoder(images), expected.last_hidden_state, rtol=1e-4, atol=1e-4)
    assert torch.equal(ours.codes(images).flatten(), expected.image_tokens)
    assert len(ours.codes(images).unique()) > 10


def test_the_published_sizes_have_the_published_tensors():
    with torch.device("meta"):
        ours, theirs = VQGAN(VQGANConfig()), chameleon(VQGANConfig())
    shapes = {name: tuple(value.shape) for name, value in ours.state_dict().items()}
    encoder = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert encoder == {name: shape for name, shape in shapes.items() if not name.startswith("decoder.")}
    decoder = {name.removeprefix("decoder."): shape for name, shape in shapes.items() if name.startswith("decoder.")}
    # The names and shapes of taming-transformers' Decoder at ch 128, ch_mult 1 1 2 2 4, 2 blocks, z 256.
    expected = {
        "conv_in.weight": (512, 256, 3, 3),
        "mid.block_1.norm1.weight": (512,),
        "mid.attn_1.proj_out.weight": (512, 512, 1, 1),
        "mid.block_2.conv2.weight": (512, 512, 3, 3),
        "up.4.block.0.conv1.weight": (512, 512, 3, 3),
        "up.4.upsample.conv.weight": (512, 512, 3, 3),
        "up.3.block.0.nin_shortcut.weight": (256, 512, 1, 1),
        "up.3.block.2.conv2.weight": (256, 256, 3, 3),
        "up.1.upsample.conv.bias": (128,),
        "up.0.block.2.norm2.bias": (128,),
        "norm_out.weight": (128,),
        "conv_out.weight": (3, 128, 3, 3),
    }
    assert expected == {name: decoder.get(name) for name in expected}
    assert "up.0.upsample.conv.weight" not in decoder
    assert len({name for name in decoder if name.startswith("up.2.block.")}) == 3 * 8 + 2 * 0


@torch.inference_mode()
@pytest.mark.parametrize(
    ("patch", "multiplier"), [(1, (1, 1, 2, 2, 4)), (2, (1, 2, 2, 2)), (4, (1, 2, 2)), (8, (1, 2))]
)
def test_sixteen_pixels_make_a_code_for_every_patch(patch, multiplier):
    model = VQGAN(VQGANConfig(16, 4, 8, multiplier, 1, 4, patch)).eval()
    images = torch.rand(2, 3, 64, 64)
    assert model.config.compression == 16
    assert model.codes(images).shape == (2, 16)
    assert model.decode(model.codes(images)).shape == images.shape


def test_the_codebook_follows_its_vectors_and_restarts_dead_entries():
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    for restart in (False, True):
        embedding = torch.zeros(8, 2)
        book = MovingCodebook(embedding)
        # All entries start at one corner; only restarts bring some to the others before the average drifts there.
        book.start(corners[:1].repeat(64, 1) + torch.randn(64, 2, generator=generator), generator)
        for _ in range(400):
            vectors = corners.repeat(16, 1) + 0.1 * torch.randn(64, 2, generator=generator)
            book.update(vectors, torch.cdist(vectors, embedding).argmin(1), generator, restart)
        farthest = torch.cdist(corners, embedding).min(1).values.max()
        assert farthest < 0.5 if restart else farthest > 1


def test_the_discriminator_scores_patches_and_its_loss_has_a_margin():
    scores = PatchDiscriminator(4)(torch.rand(2, 3, 32, 32))
    assert scores.shape == (2, 1, 4, 4)
    assert hinge_loss(torch.full((3,), 2.0), torch.full((3,), -2.0)) == 0
    assert hinge_loss(torch.zeros(3), torch.zeros(3)) == 1


def test_the_discriminator_has_its_share_of_the_gradient_whatever_its_scale():
    training = vqgan_training._Training(TINY, moving_square())
    last = training.model.decoder.conv_out.weight
    for scale in (1e-3, 1.0, 1e3):
        loss, deceived = (last * 2).sum(), scale * last.square().sum()
        weight = training._adversarial_weight(loss, deceived)
        own, others = (torch.autograd.grad(part, last)[0].norm() for part in (loss, weight * deceived))
        assert others / own == pytest.approx(TINY.discriminator_weight, rel=1e-3)


def test_training_is_deterministic_and_resumes_bit_for_bit(tmp_path, monkeypatch):
    frames = moving_square()
    once, again = (train(TINY, frames, tmp_path / name).state_dict() for name in ("once", "again"))
    assert all(torch.equal(once[name], again[name]) for name in once)

    step = vqgan_training._Training.step

    def killed(self, number):
        if number == 5:
            raise SystemExit
        return step(self, number)

    monkeypatch.setattr(vqgan_training._Training, "step", killed)
    with pytest.raises(SystemExit):
        train(TINY, frames, tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoint.pt").is_file()
    steps = []
    monkeypatch.setattr(
        vqgan_training._Training, "step", lambda self, number: (steps.append(number), step(self, number))[1]
    )
    resumed = train(TINY, frames, tmp_path / "killed").state_dict()
    assert steps == [4, 5]
    assert all(torch.equal(once[name], resumed[name]) for name in once)
    ended = train(TINY, frames, tmp_path / "killed").state_dict()
    assert steps == [4, 5], "a training that has ended is not done again"
    assert all(torch.equal(once[name], ended[name]) for name in once)


@pytest.mark.slow
def test_training_lowers_the_error_on_a_moving_square(tmp_path):
    params = dataclasses.replace(TINY, steps=100, discriminator_start=1000, learning_rate=3e-3, checkpoint_every=1000)
    frames = moving_square()
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    errors = []
    for steps in (1, 100):
        model = train(dataclasses.replace(params, steps=steps), frames, tmp_path)
        with torch.inference_mode():
            errors.append((model.decode(model.codes(images)) - images).abs().mean().item())
    assert errors[1] < 0.3 * errors[0]
    assert len(model.codes(images).unique()) > 4


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(vqgan_training._Training, "step", lambda self, number: float("nan"))
    with pytest.raises(ValueError, match=r"tokenizer step 1: the loss is nan; lower tokenizer\.learning_rate"):
        train(TINY, moving_square(), tmp_path)


def test_the_perceptual_loss_names_what_is_wrong_with_its_weights(tmp_path):
    with pytest.raises(ValueError, match=r"vgg\.pth: no such file; expected torchvision's vgg16 weights"):
        PerceptualLoss(tmp_path / "vgg.pth")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(
        ValueError, match=r"text\.pth: [\d,]+ bytes, cut short, damaged or no file of weights; expected torchvision"
    ):
        PerceptualLoss(tmp_path / "text.pth")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"'features\.0\.weight' of shape \(64, 3, 3, 3\) is not in it"):
        PerceptualLoss(tmp_path / "other.pth")


def test_a_checkpoint_of_a_training_loads_without_its_losses(tmp_path):
    source, target = VQGAN(NARROW), VQGAN(NARROW)
    torch.save({"state_dict": source.state_dict() | {"loss.scale": torch.ones(1)}}, tmp_path / "vqgan.ckpt")
    load_weights(target, tmp_path)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


def test_weights_that_do_not_fit_are_named(tmp_path):
    model = VQGAN(NARROW)
    with pytest.raises(
        ValueError, match=r"model\.safetensors: no such file; expected the weights of an image tokenizer"
    ):
        load_weights(model, tmp_path)
    path = tmp_path / "vqgan.ckpt"
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"vqgan\.ckpt: [\d,]+ bytes, cut short, damaged or no file of weights"):
        load_weights(model, path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"vqgan\.ckpt: holds no state dict"):
        load_weights(model, path)
    torch.save(chameleon(NARROW).state_dict(), path)
    with pytest.raises(
        ValueError, match=r"'decoder\.conv_in\.weight' is missing \(\d+ such\); expected the \d+ tensors"
    ):
        load_weights(model, path)
    torch.save(VQGAN(dataclasses.replace(NARROW, num_codes=50)).state_dict(), path)
    with pytest.raises(ValueError, match=r"'quantize\.embedding\.weight' is \[50, 8\], expected \[48, 8\]"):
        load_weights(model, path)
