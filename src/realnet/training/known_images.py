"""The good images that a run's subspaces rest on: what they are called, what they show, and which are taken out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet.data.images import image_hashes
from realnet.data.levels import Levels
from realnet.errors import UserError
from realnet.run_folder import LEFT_OUT, Run, read_digests
from realnet.training.kept_features import FEATURES_FILE, KeptFeatures, read_features

# A file and what it is called.
Named = tuple[Path, str]
_NONE = "is none of the good images of {run}, nor of those given: nothing is changed. Look at its name again."


@dataclass(frozen=True)
class Said:
    """What a person says of good images, by their names or files: those to ``keep`` stand out and are good all the
    same, those to ``exclude`` are not good.
    """

    keep: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


NOTHING_SAID = Said()


@dataclass(frozen=True)
class Known:
    """The good images of a run in the version in force.

    Attributes:
        run: its folder.
        trained: features of those that it was trained on; ``taught``: of those that it was taught, None without any.
        digests: of the pixels of all of them, in this order.
        left_out: digests of those that a person has taken out again.
        levels: the run's.
    """

    run: Path
    trained: KeptFeatures
    taught: KeptFeatures | None
    digests: tuple[str, ...]
    left_out: frozenset[str]
    levels: Levels | None

    @property
    def features(self) -> KeptFeatures:
        """Of all of them."""
        return self.trained if self.taught is None else self.trained.with_others(self.taught)

    def numbers(self, digests: frozenset[str]) -> list[int]:
        """Which of the files show these pictures."""
        return [number for number, digest in enumerate(self.digests) if digest in digests]

    def meant(self, named: str) -> list[int]:
        """The files that a person calls ``named``: by the name that the run has for them, or a copy of the file.

        UserError for a name that several different images have, and a file that cannot be read.
        """
        found = [number for number, name in enumerate(self.features.names) if name == named]
        if not found and Path(named).is_file():
            found = self.numbers(frozenset(image_hashes([Path(named)], self.levels)))
        if len({self.digests[number] for number in found}) > 1:
            raise UserError(f"{len(found)} good images of {self.run} are called {named}: give the file that is meant.")
        return found

    def kept(self, named: Sequence[str], gone: frozenset[str], more: Sequence[Named] = ()) -> list[str]:
        """What the run calls the good images that a person names: those that are not ``gone``, and ``more`` that join.

        UserError for a name that is none of theirs.
        """
        names, found = self.features.names, []
        for one in named:
            path = Path(one).resolve()
            own = [names[number] for number in self.meant(one) if self.digests[number] not in gone]
            own += [name for file, name in more if name == one or file.resolve() == path]
            if not own:
                raise UserError(f"{one} {_NONE.format(run=self.run)}")
            found += own
        return found

    def refuse(self, named: Sequence[str], given: Sequence[Named]) -> tuple[frozenset[str], list[Named]]:
        """What a person takes out: digests of those that are known and called ``named``, and what is left of those
        ``given``; UserError for a name that is neither's.
        """
        digests: set[str] = set()
        left = list(given)
        for one in named:
            path = Path(one).resolve()
            others = [(file, name) for file, name in left if name != one and file.resolve() != path]
            known = self.meant(one)
            if not known and len(others) == len(left):
                raise UserError(f"{one} {_NONE.format(run=self.run)}")
            digests |= {self.digests[number] for number in known}
            left = others
        return frozenset(digests), left

    def called(self, given: Sequence[Named]) -> list[str]:
        """Names for further images, none of which is another's: where it would be, with its folder, or all of its
        path.
        """
        taken = set(self.features.names)
        names = []
        for file, name in given:
            own = next((one for one in (name, f"{file.absolute().parent.name}/{name}") if one not in taken), str(file))
            taken.add(own)
            names.append(own)
        return names


def read_known(opened: Run) -> Known:
    """The good images of a closed-form run that has kept their features; UserError where these are damaged."""
    trained, folder = read_features(opened.folder / FEATURES_FILE), opened.taught
    digests = read_digests(opened.folder)[: len(trained.names)]
    if len(digests) != len(trained.names):
        raise UserError(f"{opened.folder} does not say what its good images show: restore images.json or train again.")
    if folder is None:
        return Known(opened.folder, trained, None, digests, frozenset(), opened.levels)
    taught, left_out = read_features(folder / FEATURES_FILE), frozenset(read_digests(folder, LEFT_OUT))
    return Known(opened.folder, trained, taught, (*digests, *read_digests(folder)), left_out, opened.levels)
