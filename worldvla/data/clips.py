"""Validation clips for the world model: the beginnings of held-out episodes, and their control."""

from collections.abc import Sequence

import numpy as np

from worldvla.data.shards import TokenizedEpisode


def cut_clips(episodes: Sequence[TokenizedEpisode], num_frames: int, where: str) -> list[TokenizedEpisode]:
    """Return the first ``num_frames`` steps of every episode that has as many; shorter ones are left out.

    Raises:
        ValueError: no episode is as long; ``where`` names their folder.
    """
    clips = [
        TokenizedEpisode(
            episode.task, episode.demo, episode.language, episode.codes[:num_frames], episode.actions[:num_frames]
        )
        for episode in episodes
        if len(episode.codes) >= num_frames
    ]
    if not clips:
        longest = max(len(episode.codes) for episode in episodes)
        raise ValueError(
            f"{where}: the longest of {len(episodes)} episodes has {longest} frames, expected at least {num_frames}; "
            "lower generate.horizons in conf/"
        )
    return clips


def shuffle_actions(clips: Sequence[TokenizedEpisode], seed: int) -> list[TokenizedEpisode]:
    """Return the clips with the actions of all of them in one random order.

    The control keeps which actions occur and takes away which frame they belong to. Shuffled within a clip they would
    still add up to about the same motion.
    """
    actions = np.random.default_rng(seed).permutation(np.concatenate([clip.actions for clip in clips]))
    parts = np.split(actions, np.cumsum([len(clip.actions) for clip in clips])[:-1])
    return [
        TokenizedEpisode(clip.task, clip.demo, clip.language, clip.codes, part)
        for clip, part in zip(clips, parts, strict=True)
    ]
