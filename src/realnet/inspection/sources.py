"""Where images come from: files, folders, patterns, standard input, films, cameras and folders under watch."""

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realnet.data.finding import LeftOut, no_images, walk
from realnet.errors import UserError
from realnet.inspection.cameras import PREFIX, camera_items, check_film, film_items
from realnet.inspection.items import Item, file_item
from realnet.inspection.walking import is_pattern, match, walk_images
from realnet.inspection.watching import watch
from realnet.progress import Notify

STANDARD_INPUT = "-"
IsKnown = Callable[[str, tuple[int, int]], bool]


@dataclass(frozen=True)
class Sources:
    """Images of several sources, in their order; made by :func:`open_sources`, which says what the attributes are.

    ``watched`` folders are kept under watch when everything else is had; ``leave_out`` ones, resolved, not searched.
    """

    arguments: tuple[str, ...]
    watched: tuple[Path, ...] = ()
    every: float = 1.0
    leave_out: frozenset[Path] = frozenset()
    say: Notify = field(default=lambda sentence: None)

    @property
    def endless(self) -> bool:
        """Whether only Ctrl-C or a limit ends them."""
        return bool(self.watched) or any(_is_live(argument) for argument in self.arguments)

    def count(self) -> int | None:
        """How many images there are, where that is known before: files, folders and patterns."""
        if self.endless or any(one == STANDARD_INPUT or one.startswith(PREFIX) for one in self.arguments):
            return None
        return sum(1 for argument in self.arguments for _ in self._files(argument, _silent))

    def items(self, is_known: IsKnown, stop: threading.Event) -> Iterator[Item | None]:
        """The images, until ``stop`` is set; None where the next one may take its time. A file named twice comes twice.

        Of folders under watch those come that ``is_known`` has not had.
        """
        for argument in sorted(self.arguments, key=_is_live):
            if argument == STANDARD_INPUT or _is_live(argument):
                yield None
            for item in self._of(argument, stop):
                if stop.is_set():
                    return
                yield item
        if self.watched:
            yield None
            yield from watch(self.watched, is_known, self.leave_out, self.say, stop)

    def _of(self, argument: str, stop: threading.Event) -> Iterator[Item]:
        if argument == STANDARD_INPUT:
            yield from (file_item(Path(line), live=True) for line in lines(_standard_input()))
        elif argument.startswith(PREFIX):
            address = argument.removeprefix(PREFIX)
            if _is_live(argument):
                yield from camera_items(address, self.every, self.say, stop)
            else:
                yield from film_items(Path(address), self.every)
        else:
            yield from map(file_item, self._files(argument, self.say))

    def _files(self, argument: str, say: Notify) -> Iterator[Path]:
        path = Path(argument)
        if path.is_dir():
            return walk_images(path, self.leave_out, say)
        if path.exists() or not is_pattern(argument):
            return iter([path])
        return match(argument, self.leave_out, say)


def _silent(sentence: str) -> None:
    """What is wrong with a folder is said when its images are had."""


def open_sources(
    arguments: Sequence[str],
    output: Path,
    under_watch: bool = False,
    every: float | None = None,
    say: Notify = lambda sentence: None,
) -> Sources:
    """The images that a command line asks for, once it is sure that there are some.

    Args:
        arguments: files, folders, patterns, ``-``, ``camera:N`` or ``camera:URL_OR_FILE``.
        output: of this inspection; what is in it is not inspected, should it lie below a folder.
        under_watch: whether the folders are watched; they may then be empty.
        every: seconds between pictures of a camera or film; None: 1.
        say: told of what goes wrong without an end to it all.

    Raises:
        UserError: for what does not exist, holds no image or matches none, and for combinations without a meaning.
    """
    leave_out = frozenset((output / name).resolve() for name in ("", "overlays", "masks"))
    folders = tuple(Path(argument) for argument in arguments if argument != STANDARD_INPUT and Path(argument).is_dir())
    sources = Sources(tuple(arguments), folders if under_watch else (), 1.0 if every is None else every, leave_out, say)
    if under_watch and not folders:
        raise UserError("--watch needs a folder to watch: name one among the images.")
    if every is not None and not any(argument.startswith(PREFIX) for argument in arguments):
        raise UserError("--every is the time between pictures of a camera: name one, such as camera:0.")
    waiting = [argument for argument in arguments if argument == STANDARD_INPUT or _is_live(argument)]
    if len(waiting) + under_watch > 1:
        both = ", ".join(waiting + ["--watch"] * under_watch)
        raise UserError(
            f"Only one of {both} can be waited for: start `realnet inspect` once for each, with an --output of its own."
        )
    for argument in arguments:
        _check(argument, under_watch, leave_out)
    return sources


def _check(argument: str, under_watch: bool, leave_out: Collection[Path]) -> None:
    path = Path(argument)
    if argument == STANDARD_INPUT:
        _standard_input()
    elif _is_live(argument):
        return
    elif argument.startswith(PREFIX):
        film = argument.removeprefix(PREFIX)
        if not Path(film).is_file():
            raise UserError(f"There is no camera or video {film!r}: write camera:0, camera:rtsp://... or camera:FILE.")
        check_film(Path(film))
    elif path.is_dir():
        left_out: list[LeftOut] = []
        for entry in walk(path, leave_out):
            if isinstance(entry, Path):
                return
            left_out.append(entry)
        if not under_watch or any(item.place == "." for item in left_out):
            raise no_images(path, left_out)
    elif path.exists():
        return
    elif not is_pattern(argument):
        raise UserError(f"{path} does not exist; check the spelling of the path.")
    elif next(match(argument, leave_out, _silent), None) is None:
        raise UserError(f"No file matches {argument}; check the pattern, and that it stands in quotes.")


def lines(descriptor: int) -> Iterator[str]:
    """The lines that come from an open file, each as soon as it is there; without blank ones.

    Read past Python's buffers: a thread that waits in them at exit brings the process down.
    """
    rest = b""
    while chunk := _read(descriptor):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if text := os.fsdecode(line).strip("\r\n"):
                yield text
    if text := os.fsdecode(rest).strip("\r\n"):
        yield text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError as error:
        raise _no_input(error.strerror or "closed") from error


def _standard_input() -> int:
    """Its descriptor; UserError where it is closed."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError, OSError) as error:  # None, closed, or not a file
        raise _no_input("closed") from error


def _no_input(reason: str) -> UserError:
    return UserError(
        f"Standard input cannot be read ({reason}): send paths to it, one a line, or name images instead of -."
    )


def _is_live(argument: str) -> bool:
    address = argument.removeprefix(PREFIX)
    return argument.startswith(PREFIX) and (address.isdigit() or "://" in address)
