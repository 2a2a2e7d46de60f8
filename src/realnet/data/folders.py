"""Data sets whose folders say what is good: MVTec AD and its kin, good beside bad, a plain folder of good images.

One rule for all of them: what a folder's name says (``realnet.data.vocabulary``) holds for all that lies below it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from realnet.data.finding import LeftOut, find_images
from realnet.data.masks import Place, masks_beside, pair_masks, read_mask, unread_annotations
from realnet.data.samples import GOOD, Category, Sample
from realnet.data.splitting import Labelled, divide
from realnet.data.vocabulary import Label, Meaning, file_verdict, meaning
from realnet.errors import UserError, listed
from realnet.files import printable

LAYOUT = "folders"
HERE = "."
"""``--good .``: images are good wherever nothing says otherwise."""


class Reader:
    """The products below one folder. Its files are looked at once.

    Args:
        good: names of folders (or paths below ``root``) that hold the good images, in the place of the usual words;
            `HERE` for all that nothing else is said of.
    """

    def __init__(self, root: Path, good: Sequence[str] = ()) -> None:
        self.root, self.good = root, tuple(name.strip("/\\").casefold() or HERE for name in good)
        files, left_out = find_images(root)
        self.left_out = left_out + unread_annotations(root, files)
        self.files = {file: file.relative_to(root).parts[:-1] for file in files}
        self._places = set(self.files.values())
        self._check_names()
        self.products = self._find_products()

    def says(self, path: Place) -> Meaning:
        """What the last folder of ``path`` (names below the root) says, as the user has it."""
        said = meaning(path[-1])
        named = {path[-1].casefold(), "/".join(path).casefold()}
        if named & set(self.good):
            return Meaning("good", split=said.split)
        if self.good and self.good != (HERE,) and said.label == GOOD:
            return Meaning(split=said.split, plain=True)
        return said

    def _check_names(self) -> None:
        known = {name.casefold() for place in self._places for name in place}
        known |= {"/".join(p[: i + 1]).casefold() for p in self._places for i in range(len(p))}
        for name in self.good:
            if name != HERE and name not in known:
                folders = sorted({place[0] for place in self._places if place})
                has = f"its folders are {listed(folders, 8)}" if folders else "it has no folders"
                raise UserError(f"{self.root} holds no folder {name} with images (--good): {has}.")

    def _find_products(self) -> dict[str, Place]:
        """Name -> where its folders begin."""
        top = self._peel(())
        telling = [folder for depth, folder in enumerate(top) if not self.says(top[: depth + 1]).plain]
        name = printable(telling[-1] if telling else product_name(self.root))
        if self._is_product(top):
            return {name: top}
        inner = {child: self._peel((*top, child)) for child in self._children(top)}
        products = {printable(child): place for child, place in inner.items() if self._is_product(place)}
        if not products:
            return {name: top}
        in_splits = any(self.says((*place, c)).split for place in products.values() for c in self._children(place))
        if not in_splits and all(meaning(child).group for child in products):
            return {name: top}
        return products

    def _children(self, place: Place) -> list[str]:
        depth = len(place)
        return sorted({inner[depth] for inner in self._places if len(inner) > depth and inner[:depth] == place})

    def _peel(self, place: Place) -> Place:
        """Folders that hold nothing but one folder are passed through."""
        while True:
            children = self._children(place)
            if len(children) != 1 or place in self._places:
                return place
            said = self.says((*place, children[0]))
            if said.label or said.split or said.mask or said.other:
                return place
            place = (*place, children[0])

    def _is_product(self, place: Place) -> bool:
        says = [self.says((*place, child)) for child in self._children(place)]
        return any(said.split or said.label == GOOD for said in says)

    def read(self, name: str, problems: list[str]) -> Category:
        """One product, what is wrong with it told to ``problems``; UserError where no image is known to be good."""
        top = self.products[name]
        inside = {file: place for file, place in self.files.items() if place[: len(top)] == top}
        tree = _Tree(self, top, inside, name, problems)
        tree.label()
        return divide(name, LAYOUT, tree.labelled(), [*tree.left_out, *self._outside(top)])

    def _outside(self, top: Place) -> list[LeftOut]:
        """What was left out below ``top``, and, with one product only or the first, what lies beside the products."""
        left = [item for item in self.left_out if f"{item.place}/".startswith(_prefix(top))]
        if top == next(iter(self.products.values())):
            tops = tuple(map(_prefix, self.products.values()))
            left += [item for item in self.left_out if not f"{item.place}/".startswith(tops)]
            outside = (place for place in self.files.values() if not _prefix(place).startswith(tops))
            beside = Counter("/".join(place) or HERE for place in outside)
            left += [LeftOut(place, "beside the products", count) for place, count in sorted(beside.items())]
        return left


def product_name(root: Path) -> str:
    """The folder's own name; of one that is called by what it holds (``good``, ``train``), that of the one above."""
    here = root.resolve()
    for folder in (here, *here.parents):
        said = meaning(folder.name)
        if folder.name and not (said.alone and (said.label or said.split)):
            return folder.name
    return here.name


@dataclass
class _Image:
    """An image and what is known of it so far. ``depth`` counts the folders up to the one that tells its kind."""

    file: Path
    place: Place
    split: str | None = None
    label: str | None = None
    kind: str = ""
    depth: int = 0
    masks: list[Path] = field(default_factory=list)


class _Tree:
    """The files of one product on their way to being labelled."""

    def __init__(self, reader: Reader, top: Place, files: dict[Path, Place], name: str, problems: list[str]) -> None:
        self.reader, self.top, self.name, self.problems = reader, top, name, problems
        self.left_out: list[LeftOut] = []
        self.images: list[_Image] = []
        self.masks: list[tuple[Path, Place]] = []
        self._sort(files)
        places = {image.place for image in self.images}
        # The data set's own folder has a say where those in it have none.
        own = meaning(reader.root.resolve().name) if len(reader.products) == 1 else Meaning()
        divided = any(self._says(place, depth).split for place in places for depth in range(len(place)))
        self.own_split = own.split if own.alone and not divided else None
        self.own_label = own.label if own.alone or own.label != GOOD else None
        # Folders that hold a folder of good images: what lies beside it is a kind of defect.
        self.beside_good = {
            place[:depth] for place in places for depth in range(len(place)) if self._says(place, depth).label == GOOD
        }

    def _says(self, place: Place, depth: int) -> Meaning:
        return self.reader.says((*self.top, *place[: depth + 1]))

    def _sort(self, files: dict[Path, Place]) -> None:
        """Masks and data of other sorts aside; what is left are images."""
        beside = masks_beside(files)
        other: Counter[str] = Counter()
        for file, whole in files.items():
            place = whole[len(self.top) :]
            says = [self._says(place, depth) for depth in range(len(place))]
            if any(said.other for said in says):
                other["/".join(place)] += 1
            elif file in beside or any(said.mask for said in says):
                self.masks.append((file, place))
            else:
                self.images.append(_Image(file, place))
        self.left_out += [LeftOut(p, "depth data, not photographs", count) for p, count in sorted(other.items())]

    def label(self) -> None:
        """Give every image its label, or leave it out."""
        for image in self.images:
            self._label_by_folders(image)
        self._pair()
        self._label_by_masks()
        unlabelled = [image for image in self.images if image.label is None]
        by_choice = HERE in self.reader.good
        if by_choice or (unlabelled and self._all_good(unlabelled)):
            if not by_choice and meaning(self.reader.root.resolve().name).label != GOOD:
                self._refuse_telling_names(unlabelled)
            for image in unlabelled:
                image.label, image.kind = GOOD, GOOD
        if self.images and not any(image.label == GOOD for image in self.images) and self.own_split != "test":
            raise self._undecided()
        self._look_at_masks_of_good()
        unused = Counter("/".join(image.place) or HERE for image in self.images if image.label is None)
        reason = "neither in a folder of good images nor in one of defects"
        self.left_out += [LeftOut(place, reason, count) for place, count in sorted(unused.items())]

    def _label_by_folders(self, image: _Image) -> None:
        has_good = bool(self.beside_good)
        image.split = self.own_split
        general = False
        for depth, name in enumerate(image.place):
            said = self._says(image.place, depth)
            image.split = image.split or said.split
            if image.label is not None:
                if said.label is not None and said.label != image.label:
                    raise self._contradiction(image, depth)
                if general and not said.plain and not said.general:
                    image.kind, image.depth, general = name, depth + 1, False
            elif said.label is not None:
                image.label, image.depth, general = said.label, depth + 1, said.general
                image.kind = GOOD if said.label == GOOD else name
            elif image.place[:depth] in self.beside_good or (image.split and has_good):
                if said.group and not self.reader.good:
                    raise self._doubtful(image, depth)
                if said.group or (not said.plain and not said.split):
                    image.label, image.kind, image.depth = "defective", name, depth + 1

    def _pair(self) -> None:
        kinds = {image.file: image.label for image in self.images}
        pairs, orphans = pair_masks(
            [(image.file, image.place) for image in self.images],
            self.masks,
            lambda file: kinds[file] == "defective",
            self.problems,
        )
        for image in self.images:
            image.masks = pairs.get(image.file, [])
        if orphans:
            shown = orphans[0].relative_to(self.reader.root).as_posix()
            self.left_out.append(LeftOut(shown, "masks without an image of their name", len(orphans)))

    def _label_by_masks(self) -> None:
        """Where folders say nothing and masks lie beside: where a mask marks something is defective, all else good."""
        for split in sorted({image.split or "" for image in self.images if image.label is None and image.masks}):
            images = [image for image in self.images if image.label is None and (image.split or "") == split]
            for image, defective in zip(images, marks_something([i.masks for i in images]), strict=True):
                image.label, image.kind = ("defective", "defective") if defective else (GOOD, GOOD)
            if without := sum(not image.masks for image in images):
                self.left_out.append(LeftOut("", f"{without} images without a mask, which count as good", 0))

    def _look_at_masks_of_good(self) -> None:
        masked = [image for image in self.images if image.label == GOOD and image.masks]
        marked = [i for i, marks in zip(masked, marks_something([i.masks for i in masked]), strict=True) if marks]
        if marked:
            place = marked[0].masks[0].relative_to(self.reader.root).as_posix()
            reason = f"masks that mark something in good images, such as {marked[0].file.name}: look at these"
            self.left_out.append(LeftOut(place, reason, len(marked)))

    def _refuse_telling_names(self, images: Sequence[_Image]) -> None:
        """Refuse images that no folder tells apart, but their own names do (``ok_1``, ``nok_2``), or call defective."""
        says = [file_verdict(image.file.stem) for image in images]
        said: Label = "defective" if "defective" in says else "good"
        first = next((image for image, own in zip(images, says, strict=True) if own == said), None)
        other = next((image for image, own in zip(images, says, strict=True) if own != said), None)
        if first is None or (other is None and said == GOOD):
            return
        others = "" if other is None else f", and other names do not, such as {other.file.name}"
        raise UserError(
            f"It cannot be told which images of {self.reader.root.joinpath(*self.top)} are good: the names of "
            f"{says.count(said)} of {len(says)} say {said}, such as {first.file.name}{others}. Sort them into folders, "
            "such as good and defective, or write --good . if all are good."
        )

    def _all_good(self, unlabelled: list[_Image]) -> bool:
        """Whether no folder's name can mean that something in it is not good."""
        if any(image.label is not None for image in self.images):
            return False
        if self.own_label == GOOD:
            return True
        if self.own_label is not None or any(image.split for image in unlabelled):
            return False
        places = {image.place for image in unlabelled}
        if any(name.strip("0") == "" for place in places for name in place):  # 0 and 1 are classes
            return False
        return all(self._says(place, depth).plain for place in places for depth in range(len(place)))

    def labelled(self) -> list[Labelled]:
        """The images whose label is known."""
        known = [image for image in self.images if image.label is not None]
        short = {image.file: self._short_place(image) for image in known}
        counts = Counter((image.kind, image.split, short[image.file]) for image in known)
        found = []
        for image in known:
            twice = counts[image.kind, image.split, short[image.file]] > 1
            place = "/".join((*image.place, image.file.name)) if twice else short[image.file]
            masks = image.masks if image.label != GOOD else []
            sample = Sample(
                image.file, self.name, "train", printable(image.kind), masks[0] if masks else None, tuple(masks[1:]),
                "" if place == image.file.name else place,
            )  # fmt: skip
            found.append(Labelled(sample, image.split, "/".join(image.place)))
        return found

    def _short_place(self, image: _Image) -> str:
        """The path without the folders that name its split or kind, or only say that images lie in them."""
        kept = []
        for depth, name in enumerate(image.place):
            said = self._says(image.place, depth)
            telling = said.group or not (said.plain or said.split or said.label)
            if telling and depth + 1 != image.depth:
                kept.append(name)
        return "/".join((*kept, image.file.name))

    def _undecided(self) -> UserError:
        folders = Counter(_shown(image.place) for image in self.images)
        named = listed([f"{folder} ({count})" for folder, count in sorted(folders.items())], 8)
        place = self.reader.root.joinpath(*self.top)
        return UserError(
            f"It cannot be told which images of {place} are good: it has {named}. Name the folder of good images with "
            "--good NAME, or write --good . if all images that no folder's name calls defective are good."
        )

    def _contradiction(self, image: _Image, depth: int) -> UserError:
        folder = self.reader.root.joinpath(*self.top, *image.place[: depth + 1])
        one, other = ("good", "defective") if image.label == GOOD else ("defective", "good")
        return UserError(
            f"{folder} lies among {one} images, but its name says {other}. Move it, or name the folders of good images "
            "with --good."
        )

    def _doubtful(self, image: _Image, depth: int) -> UserError:
        folder = self.reader.root.joinpath(*self.top, *image.place[: depth + 1])
        return UserError(
            f"It cannot be told whether {folder} holds good images or a kind of defect: it lies beside good ones. Move "
            f"it into them or away, rename it, or write --good {image.place[depth]} as well."
        )


def marks_something(masks: Iterable[Sequence[Path]]) -> list[bool]:
    """Of each group of masks, whether any pixel is marked in one of them; UserError where one cannot be read."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda own: any(bool(read_mask(file).any()) for file in own), masks))


def _prefix(place: Place) -> str:
    """What every path in ``place`` begins with."""
    return "/".join((*place, ""))


def _shown(place: Place) -> str:
    return _prefix(place) or "images directly in it"
