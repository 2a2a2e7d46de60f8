"""Images that people gave a verdict on, as the store kept them or from where they lay, to be judged or learned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from realnet.errors import UserError, plural
from realnet.history.schema import Base

# An image counts once, with its latest verdict of a person, whichever of the inspector's versions judged it.
_LABELLED = """SELECT r.id, r.image, r.image_hash, f.label FROM feedback f JOIN results r ON r.id = f.result
    WHERE r.model_digest IN ({digests}) AND r.image_hash != '' AND f.number = (
        SELECT max(g.number) FROM feedback g JOIN results s ON s.id = g.result
        WHERE s.image_hash = r.image_hash AND s.model_digest IN ({digests}))
    ORDER BY f.number"""
_LONGEST = 80


@dataclass(frozen=True)
class Labelled:
    """Images that people called good, or defective: file and name of each; ``lost`` are names without pixels left."""

    good: tuple[tuple[Path, str], ...]
    defects: tuple[tuple[Path, str], ...]
    lost: tuple[str, ...]

    def sentence(self) -> str:
        """What of them is lost, and how that is prevented."""
        return (
            f"{plural(len(self.lost), 'image')} that people gave a verdict on cannot be had any more ({self.lost[0]}): "
            "a store that was kept with --keep-images originals has them."
        )


def labelled_images(base: Base, digests: Sequence[str], folder: Path, hash_of: Callable[[Path], str]) -> Labelled:
    """What people said of images that an inspector judged, with the images.

    ``digests`` are of all versions of its model; originals that the store kept become files in ``folder``; ``hash_of``
    a file is that of its pixels. UserError where the store is damaged, or ``folder`` cannot be written.
    """
    statement = _LABELLED.format(digests=", ".join("?" * len(digests)))
    found: dict[str, list[tuple[Path, str]]] = {"good": [], "defective": []}
    lost = []
    for number, row in enumerate(base.ask(statement, *digests, *digests)):
        kept = base.ask("SELECT content FROM pictures WHERE result = ? AND kind = 'original'", row["id"])
        if kept:
            name = PurePath(row["image"]).name[-_LONGEST:] or "image"
            file = folder / f"{number:05d}-{name}"
            try:
                file.write_bytes(kept[0]["content"])
            except OSError as error:
                raise UserError(f"Cannot write {file}: {error.strerror}. Free some space.") from error
        else:
            file = Path(row["image"])
            if not _is(file, row["image_hash"], hash_of):
                lost.append(str(row["image"]))
                continue
        found[row["label"]].append((file, str(row["image"])))
    return Labelled(tuple(found["good"]), tuple(found["defective"]), tuple(lost))


def _is(file: Path, digest: str, hash_of: Callable[[Path], str]) -> bool:
    try:
        return file.is_file() and hash_of(file) == digest
    except (UserError, OSError, ValueError):
        return False
