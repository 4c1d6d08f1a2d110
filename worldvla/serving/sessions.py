"""What a client shows: observations, and the frames of its episode that a query of the model holds."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worldvla.serving.protocol import VERSION

IMAGE, PROMPT = "observation/image", "prompt"
RESET, EPISODE, PROTOCOL = "reset", "episode_id", "protocol"  # optional
LONGEST_PROMPT = 500  # characters; LIBERO's longest instruction has 78


@dataclass(frozen=True, eq=False)
class Observation:
    """One query of a client."""

    frames: NDArray[np.uint8]  # [m, pixels, pixels, 3], oldest first
    prompt: str
    reset: bool
    episode: int | str | None


def read_observation(message: Any, pixels: int, history: int, resize: bool) -> Observation:
    """Return the observation that a message holds.

    Args:
        message: what a client sent, unpacked.
        pixels: side of the images that the model knows.
        history: frames of a query of the model; of more the last ones are taken.
        resize: whether square images of another size are scaled, or refused.

    Raises:
        ValueError: one sentence: it is none, or of another size.
    """
    if not isinstance(message, dict):
        raise ValueError(f"observation: got a {type(message).__name__}; expected a map with '{IMAGE}' and '{PROMPT}'")
    version = message.get(PROTOCOL, VERSION)
    if version != VERSION:
        raise ValueError(
            f"observation: its '{PROTOCOL}' is {str(version)[:40]!r}; expected '{VERSION}'; see docs/serving.md"
        )
    if "payload" in message:
        raise ValueError(
            f"observation: a message with 'type' and 'payload', as of vla-eval or starVLA; expected openpi's protocol, a map "
            f"with '{IMAGE}' and '{PROMPT}'; connect with another client"
        )
    for key in (IMAGE, PROMPT):
        if key not in message:
            known = ", ".join(f"'{str(name)[:40]}'" for name in itertools.islice(message, 8))
            raise ValueError(
                f"observation: '{key}' is missing; got {known or 'an empty map'}; expected it; see docs/serving.md"
            )
    prompt, reset, episode = message[PROMPT], message.get(RESET, False), message.get(EPISODE)
    if not isinstance(prompt, str) or not 0 < len(prompt) <= LONGEST_PROMPT:
        got = f"{len(prompt)} characters" if isinstance(prompt, str) else f"a {type(prompt).__name__}"
        raise ValueError(
            f"observation: '{PROMPT}' is {got}; expected an instruction of 1 to {LONGEST_PROMPT} characters"
        )
    if not isinstance(reset, (bool, np.bool_)):
        raise ValueError(f"observation: '{RESET}' is a {type(reset).__name__}; expected true or false")
    if isinstance(episode, np.generic):
        episode = episode.item()
    if not isinstance(episode, (int, str, type(None))):
        raise ValueError(f"observation: '{EPISODE}' is a {type(episode).__name__}; expected a number or text")
    return Observation(fitting_frames(message[IMAGE], pixels, history, resize), str(prompt), bool(reset), episode)


def fitting_frames(image: object, pixels: int, history: int, resize: bool) -> NDArray[np.uint8]:
    """Return the last frames [m, pixels, pixels, 3] of an observation as the model knows them.

    Raises:
        ValueError: one sentence: they are no images, or of another size.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"observation: '{IMAGE}' is a {type(image).__name__}; expected an array")
    frames = image[None] if image.ndim == 3 else image
    if image.dtype != np.uint8 or frames.ndim != 4 or not len(frames) or frames.shape[3] != 3:
        raise ValueError(
            f"observation: '{IMAGE}' is {image.dtype} {list(image.shape)}; expected uint8 [{pixels}, {pixels}, 3], or "
            f"[m, {pixels}, {pixels}, 3] of the last steps"
        )
    height, width = frames.shape[1:3]
    if (height, width) == (pixels, pixels):
        return frames[-history:]
    if height != width or not height or not resize:
        todo = "render them so, as 'image_size' of the metadata says, or serve with --resize"
        raise ValueError(
            f"observation: '{IMAGE}' shows {height} x {width} pixels; expected {pixels} x {pixels}; "
            f"{todo if height == width else 'send square images'}"
        )
    # As openpi's own clients scale, `image_tools.resize_with_pad`, which pads nothing of a square image.
    scaled = [Image.fromarray(frame).resize((pixels, pixels), Image.Resampling.BILINEAR) for frame in frames[-history:]]
    return np.stack([np.asarray(one) for one in scaled])


class Session:
    """The frames of a connection's episode, as codes: at most as many as a query of the model holds.

    A new episode begins where the client says so (``reset``), where it names another one (``episode_id``), and where the
    instruction changes. Nothing else tells: a client that starts the same task again must say it.
    """

    def __init__(self, history: int) -> None:
        self._history = history
        self._codes: tuple[NDArray[np.uint16], ...] = ()  # [n] each, oldest first
        self._prompt: str | None = None
        self._episode: int | str | None = None

    def past(self, observation: Observation) -> tuple[NDArray[np.uint16], ...]:
        """Return the codes of the frames before an observation's own; none if it begins an episode."""
        another = observation.prompt != self._prompt or observation.episode != self._episode
        if observation.reset or another:
            self._codes = ()
        self._prompt, self._episode = observation.prompt, observation.episode
        room = self._history - len(observation.frames)
        return self._codes[-room:] if room else ()

    def note(self, codes: NDArray[np.uint16]) -> None:
        """Keep the codes [m, n] of an observation's frames."""
        self._codes = (*self._codes, *codes)[-self._history :]
