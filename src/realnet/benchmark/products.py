"""What a folder of data sets holds: the products, and the textures and generated images beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realnet.data import Category, open_dataset
from realnet.data.opening import dataset_folders
from realnet.data.samples import Sample
from realnet.errors import UserError

TEXTURE_FOLDERS = ("dtd/images", "dtd")


@dataclass(frozen=True)
class Product:
    """One product of one data set.

    ``root`` is the data set (a folder, or the word ``elpv``), ``own_name`` the category's name there; its name here
    says the data set too, where two have a category of one name.
    """

    root: str
    own_name: str
    category: Category

    @property
    def name(self) -> str:
        """The category's."""
        return self.category.name


@dataclass(frozen=True)
class DataFolder:
    """All that was found: products, and what defects can be made of (None: nothing)."""

    products: tuple[Product, ...]
    textures: Path | None = None
    generated: Path | None = None


def find_products(roots: Sequence[str]) -> DataFolder:
    """The products under ``roots``: each a data set, a folder of data sets, or ``elpv``; UserError if none has tests.

    Textures are looked for in ``dtd/images`` or ``dtd``, generated images in ``SIA``, in each root and beside it.
    """
    products: list[Product] = []
    for root in roots:
        for place in dataset_folders(root):
            products += [Product(place, category.name, category) for category in open_dataset(place)]
    tested = [product for product in products if any(sample.is_anomalous for sample in product.category.test)]
    if not tested:
        raise UserError(
            f"{', '.join(roots)} holds no product with defective test images; give --data a data set laid out as "
            "MVTec AD, MPDD, BTAD or VisA, a folder of such, or elpv."
        )
    names = [product.name for product in tested]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        # Told apart by the data set in the name.
        tested = [
            replace(p, category=renamed(p.category, f"{Path(p.root).name}-{p.name}")) if p.name in twice else p
            for p in tested
        ]
    given = [Path(root) for root in roots if Path(root).is_dir()]
    folders = given + [root.resolve().parent for root in given]
    return DataFolder(tuple(tested), _first(folders, TEXTURE_FOLDERS), _first(folders, ("SIA",)))


def choose(data_folder: DataFolder, names: Sequence[str]) -> DataFolder:
    """The products called so, in their own order; all where none is named; UserError for a name that no product has."""
    if not names:
        return data_folder
    known = {product.name.lower() for product in data_folder.products}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        raise UserError(f"There is no category {unknown[0]}; the data has {', '.join(sorted(known))}.")
    wanted = {name.lower() for name in names}
    chosen = tuple(product for product in data_folder.products if product.name.lower() in wanted)
    return replace(data_folder, products=chosen)


def renamed(category: Category, name: str) -> Category:
    """The same product under another name."""

    def under(samples: Sequence[Sample]) -> tuple[Sample, ...]:
        return tuple(replace(sample, category=name) for sample in samples)

    return replace(category, name=name, train=under(category.train), test=under(category.test))


def _first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    return next(((folder / name).resolve() for folder in folders for name in names if (folder / name).is_dir()), None)
