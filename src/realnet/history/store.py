"""Writing to a results store: one row a judgement, one a person's verdict on it, and pictures."""

import json
from collections.abc import Iterable
from pathlib import Path

from realnet.errors import UserError
from realnet.files import printable
from realnet.history.pictures import KEEP, Keep, Picture, make_picture
from realnet.history.schema import Base
from realnet.inspection.inspection import Inspection
from realnet.inspection.rows import Row
from realnet.inspection.trace import utc_now

LABELS = ("good", "defective")
_LONGEST = 2000
_COLUMNS = (
    "id", "time", "source", "image", "image_hash", "width", "height", "verdict", "score", "level", "threshold",
    "anomalous_area", "regions", "error", "model", "model_digest", "calibration", "software",
)  # fmt: skip
_INSERT = f"INSERT OR IGNORE INTO results ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Store(Base):
    """The results store of a line. Made by :func:`open_history`.

    Args:
        make: whether it is made where there is none.
        keep: what is kept of the images: ``nothing``, ``thumbnails`` (JPEG, 320 pixels) or ``originals``.
    """

    def __init__(self, path: Path, make: bool = True, keep: Keep = "thumbnails") -> None:
        super().__init__(path, make)
        self.keep = keep

    def record(self, found: Inspection, image: str, model: str, source: str = "python") -> str:
        """Add a result of Python's; returns its id. UserError where it cannot be written.

        Args:
            image: what the image is called, such as a file's name or a part's number.
            source: where the image comes from, such as ``inspect``, ``serve`` or a camera's name.
        """
        row = found.row(image)
        self.add(row, model, source, make_picture(found.image, self.keep))
        return row.id

    def add(self, row: Row, model: str, source: str, picture: Picture | None) -> None:
        """Add one row with what is kept of its image, if its id is new; UserError where it cannot be written."""
        with self.transaction():
            self._insert(row, model, source, picture)
            if picture is not None and picture.kind is not None:
                self.ask("INSERT OR IGNORE INTO pictures VALUES (?, ?, ?)", row.id, picture.kind, picture.content)

    def catch_up(self, rows: Iterable[Row], model: str, source: str) -> None:
        """Add what an interrupted inspection wrote to its journal only; what retention removed is not brought back."""
        (removed,) = self.ask("SELECT coalesce(max(before), '') AS before FROM removals")
        with self.transaction():
            for row in rows:
                if row.time >= removed["before"] and not self.ask("SELECT 1 FROM results WHERE id = ?", row.id):
                    self._insert(row, model, source, None)

    def add_feedback(self, result: str, label: str, who: str, why: str = "") -> None:
        """Add a person's verdict, ``good`` or ``defective``, on a result; a later one counts in the place of this.

        UserError where there is no such result, nobody is named, or the label is another.
        """
        if label not in LABELS:
            raise UserError(f"A person's verdict is good or defective, not {label!r}.")
        if not who.strip():
            raise UserError("Say who gives this verdict.")
        if len(who) + len(why) > _LONGEST:
            raise UserError(f"Name and reason have {_LONGEST:,} characters together at most.")
        with self.transaction():
            if not self.ask("SELECT 1 FROM results WHERE id = ?", result):
                raise UserError(f"There is no result {result} in {self.path}.")
            self.ask(
                "INSERT INTO feedback (time, result, label, who, why) VALUES (?, ?, ?, ?, ?)",
                utc_now(), result, label, printable(who.strip()), printable(why.strip()),
            )  # fmt: skip

    def picture(self, result: str) -> bytes | None:
        """The picture that was kept of a result's image; None where there is none."""
        found = self.ask("SELECT content FROM pictures WHERE result = ?", result)
        return bytes(found[0]["content"]) if found else None

    def _insert(self, row: Row, model: str, source: str, picture: Picture | None) -> None:
        width, height = (None, None) if picture is None else (picture.width, picture.height)
        values = {
            **row.as_dict(), "source": printable(source), "model": model, "width": width,
            "height": height,
            "image": printable(row.image), "error": printable(row.error),
            "regions": json.dumps(row.as_dict()["regions"], separators=(",", ":")),
        }  # fmt: skip
        self.ask(_INSERT, *(values[name] for name in _COLUMNS))


def open_history(path: str | Path, keep: Keep = "thumbnails") -> Store:
    """Open the results store of a line, or begin one: results are added, searched and reviewed in it.

    Args:
        path: the file, such as ``realnet.sqlite``; on a disk of this machine, as several processes may share it.
        keep: what is kept of the images: ``nothing``, ``thumbnails`` (JPEG, 320 pixels) or ``originals``.

    Raises:
        UserError: where the file cannot be made, or is something else.

    Example:
        >>> store = open_history("realnet.sqlite")  # doctest: +SKIP
        >>> store.record(inspector.inspect("4711.png"), "4711.png", "bottle")  # doctest: +SKIP
    """
    if keep not in KEEP:
        known = f"{', '.join(KEEP[:-1])} or {KEEP[-1]}"
        raise UserError(
            f"What is kept of images is {known}, not {keep!r}.", f"There is no --keep-images {keep}: take {known}."
        )
    return Store(Path(path), keep=keep)
