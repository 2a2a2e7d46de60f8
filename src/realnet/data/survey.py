"""The good images of a data set looked through before training: which levels they have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from realnet.data.decoding import decode_file, is_plain
from realnet.data.images import as_rgb, each_in_threads
from realnet.data.levels import Levels, Span, levels_of, span_of, written
from realnet.data.notes import Notes
from realnet.errors import UserError


class Survey(NamedTuple):
    """What was found.

    Attributes:
        levels: those asked for, else those that the images have in common; None where all are of 8 bits.
        sentences: what a person should know of them.
    """

    levels: Levels | None
    sentences: tuple[str, ...]


def survey(files: Sequence[Path], asked: Levels | None = None) -> Survey:
    """Look through good images, and check that they fit the levels that are ``asked`` for, where some are.

    Only what has more than 8 bits, pages, frames or an alpha channel costs the time of decoding. UserError, a sentence
    each (the first 20), for images that cannot be read or do not fit.
    """
    notes = Notes()
    spans = [span for span in each_in_threads(lambda file: _look(file, asked, notes), files) if span is not None]
    if not spans:
        return Survey(asked, tuple(notes.sentences()))
    levels = asked or levels_of(spans)
    low, high = min(span.low for span in spans), max(span.high for span in spans)
    how = "as asked" if asked else "found in them; set data.levels=LOW:HIGH for others"
    said = (
        f"{len(spans)} of {len(files)} good images {'has' if len(spans) == 1 else 'have'} more than 8 bits, with "
        f"values from {low:g} to {high:g}; levels "
        f"{written(levels)} (black:white) for every image of this run, {how}."
    )
    return Survey(levels, (said, *notes.sentences()))


def _look(file: Path, asked: Levels | None, notes: Notes) -> Span | None:
    if is_plain(file):
        return None
    picture = decode_file(file)
    values = picture.content
    if isinstance(values, Image.Image) or asked is not None:
        as_rgb(picture, str(file), asked, notes)
    else:
        for note in picture.notes:
            notes.add(note, str(file))
    if isinstance(values, Image.Image):
        return None
    try:
        return span_of(values[..., :3] if values.ndim == 3 else values, picture.full)
    except UserError as error:
        raise UserError(f"{file} cannot be used: {error}") from error
