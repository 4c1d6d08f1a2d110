"""Few colours for many frames, so that pictures and animations of noisy frames stay small."""

from PIL import Image

SAMPLE = 3  # every so many pixels, both ways, make the palette


def reduce(picture: Image.Image, palette: Image.Image) -> Image.Image:
    """Return a picture with the colours of a palette, without dither: it would flicker and cost bytes."""
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def palette_of(picture: Image.Image, num_colours: int) -> Image.Image:
    """Return a picture whose palette suits another one, rare bright colours included."""
    size = (max(1, picture.width // SAMPLE), max(1, picture.height // SAMPLE))
    sample = picture.resize(size, Image.Resampling.NEAREST)
    return sample.quantize(num_colours, Image.Quantize.MAXCOVERAGE, kmeans=1)
