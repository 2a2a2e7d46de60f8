"""Generated images blended in: the paper's own source (Sec. 3.1, App. B)."""

from pathlib import Path

from realnet.data.finding import GENERATED_FOLDER
from realnet.errors import UserError
from realnet.synthesis.anomaly import Range
from realnet.synthesis.image_folder import FromFolder

# What `sdas sample` leaves in each folder it fills.
MARK = "sia.json"


class Sia(FromFolder):
    """An image generated for this product.

    ``directory`` holds the images of one product, or folders named by category, at most two levels down (as
    the SIA data set is published), of which ``category``'s is taken. A blend of a small strength hardly shows.
    UserError where the folder holds other categories only.
    """

    kind, purpose = "sia", "generated images of this product"
    usual_opacity = (0.5, 1.0)

    def __init__(
        self, directory: Path, category: str | None = None, opacity: Range | None = None, least_change: float = 0.0
    ) -> None:
        super().__init__(folder_of(directory, category), opacity, least_change)


def folder_of(directory: Path, category: str | None) -> Path:
    """The folder of ``category`` in ``directory`` of generated images, or that itself; UserError as of `Sia`."""
    if category is None or not directory.is_dir():
        return directory
    inner = sorted(path for path in (*directory.glob("*"), *directory.glob("*/*")) if path.is_dir())
    matching = [path for path in inner if path.name.lower() == category.lower()]
    if matching:
        return matching[0]
    named = {path.name for path in inner}
    if directory.name.lower() != category.lower() and len(named) > 1:
        raise UserError(
            f"{directory} has no folder for category {category!r}, only {', '.join(sorted(named)[:12])}: "
            f"give the folder that holds the generated images of {category}."
        )
    return directory


def generated_images(data: Path, category: str | None, source: Path | None) -> Path | None:
    """The folder of images generated for this product: ``source`` or the data set's folder SIA; None where neither is.

    ``source`` counts where a set of `sdas sample` lies in it, at most two levels down; ``data``/SIA where it has a
    folder of the category's name, as the published SIA data set has.
    """
    if source is not None:
        marked = any(next(source.glob(pattern), None) for pattern in (MARK, f"*/{MARK}", f"*/*/{MARK}"))
        return source if marked else None
    if category is None:
        return None
    place = data / GENERATED_FOLDER
    inner = [*place.glob("*"), *place.glob("*/*")]
    return place if any(path.is_dir() and path.name.lower() == category.lower() for path in inner) else None
