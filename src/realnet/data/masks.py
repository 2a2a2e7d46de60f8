"""Which mask belongs to which image."""

from pathlib import Path


def match_masks(images: list[Path], masks: list[Path], place: Path, problems: list[str]) -> dict[Path, Path]:
    """The mask of each image, by name: ``NNN`` or ``NNN_mask`` with any image suffix, in any case.

    Args:
        images: defective images of one kind.
        masks: mask files of that kind.
        place: the folder where masks belong, for the messages.
        problems: a sentence is added for each image without mask, mask without image and doubtful name.
    """
    by_name: dict[str, list[Path]] = {}
    for mask in masks:
        by_name.setdefault(mask.stem.casefold(), []).append(mask)
    found: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    for image in images:
        stem = image.stem.casefold()
        candidates = by_name.get(stem, []) + by_name.get(f"{stem}_mask", [])
        if not candidates:
            problems.append(f"{image} has no mask in {place}; add {image.stem}_mask.png or remove the image.")
            continue
        if len(candidates) > 1:
            problems.append(f"{image} has the masks {candidates[0].name} and {candidates[1].name}; keep one.")
        elif candidates[0] in owners:
            problems.append(
                f"{candidates[0]} fits both {owners[candidates[0]].name} and {image.name}; rename one image."
            )
        else:
            found[image] = candidates[0]
        owners.update(dict.fromkeys(candidates, image))
    problems += [
        f"{mask} has no image of its name; remove it or add the image." for mask in masks if mask not in owners
    ]
    return found
