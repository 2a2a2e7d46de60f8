"""What the name of a folder says of the images in it: the one place that knows the words people use.

``docs/data.md`` has the same words as a table for readers.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal


def word_set(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


Label = Literal["good", "defective"]
Split = Literal["train", "validation", "test"]

_GOOD = word_set(
    """
    good goods ok oks okay normal normals nominal pass passed passing go io gut gutteil gutteile ordnung inordnung
    fehlerfrei bon bonne bons bonnes conforme conformes conforming bueno buena buenos buenas buono buoni bom bons
    goed dobry dobre acceptable accept accepted flawless healthy intact valide
    """
)
_GENERAL_DEFECT = word_set(
    """
    ng nok noks nogo nio ko bad fail failed fails failing failure failures fault faults faulty defect defects
    defective defectives defected defekt defekte defektes defecto defectos defectuoso defeito defeitos defaut
    defauts difetto difetti abnormal abnormals abnormality anormal anomaly anomalies anomalous anom reject rejects
    rejected scrap ausschuss schlecht schlechtteil schlechtteile fehler fehlerhaft mauvais mauvaise malo mala
    malos scarto scarti slecht fout incorrect imperfect imperfection imperfections error errors outlier outliers
    flaw flaws flawed damage damaged damages faute
    """
)
_KIND = word_set(
    """
    scratch scratches scratched scuff scuffs scuffed dent dents dented crack cracks cracked stain stains stained
    bent broken breakage tear tears torn contamination contaminated missing misplaced misaligned rust rusty
    corrosion corroded burr burrs burn burnt burned chipped chipping pit pits pitted pitting porosity pore pores
    void voids blowhole blowholes fray frayed uneven crazing inclusion inclusions wrinkle wrinkles wrinkled bubble
    bubbles deformed deformation warped leak leaks spatter kratzer delle dellen riss risse rayure rayures erosion
    peeling delamination discoloration discolored discolouration discoloured foreign poke squeeze squeezed
    """
)
_VERDICTS: dict[str, tuple[Label, bool]] = {
    **dict.fromkeys(_KIND, ("defective", False)),
    **dict.fromkeys(_GENERAL_DEFECT, ("defective", True)),
    **dict.fromkeys(_GOOD, ("good", False)),
}
"""What a word says, and whether it names no kind of defect."""
# These count only where nothing else in the name has a meaning of its own: "clean room" is no verdict.
_GOOD_ALONE = frozenset(["clean", "perfect", "correct", "golden", "negative", "negatives", "neg", "free"])
_DEFECT_ALONE = word_set("positive positives pos def hole holes cut bend spot spots nc")
# Scripts without spaces: the word may stand anywhere in the name; defects first, as 不良品 holds 良品.
_DEFECT_INSIDE = ("不良", "不合格", "异常", "異常", "缺陷", "欠陥", "불량", "비정상", "결함")
_GOOD_INSIDE = ("良品", "正常", "合格", "양품", "정상")
_NOT = word_set("no not non none without ohne kein keine sans sin senza un zero nicht")
_FREE = frozenset(["free", "frei", "less"])
_HEX_CODE = re.compile(r"[0-9a-f]*\d[0-9a-f]*", re.IGNORECASE)
_PREFIXES, _SUFFIXES = ("un", "non", "no", "not", "nicht", "in", "im"), ("free", "frei", "less")

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trainset", "traindata", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "calibration", "calib"), "validation"),
    **dict.fromkeys(("test", "tests", "testing", "testset", "testdata", "tst", "eval", "evaluation"), "test"),
}
_MASKS = word_set(
    """
    mask masks maske masken groundtruth groundtruths gt gts segmentation segmentations segmentationclass seg
    annotation annotations annotated annot maskimage maskimages
    """
)
_MASKS_ALONE = frozenset(["label", "labels", "truth", "labelled"])
_CONTAINERS = word_set(
    """
    image images img imgs jpegimages picture pictures pic pics photo photos bild bilder data dataset datasets
    input inputs sample samples all raw rgb file files png jpg jpeg bmp tif tiff full
    """
)
# Days, cameras, and images that nobody has judged: not what they show, good or bad.
_GROUPS = word_set(
    """
    day days date week month year time shift cam cams camera cameras kamera batch batches lot lots charge line
    linie station session sessions series serie set subset view views side seite top bottom left right front back
    rear upper lower inner outer inside outside middle center centre morning afternoon evening night early late
    first second third fourth fifth tag schicht position angle light lighting exposure lens sensor channel frame
    frames video clip sequence seq scene folder new old more extra additional copy machine cavity nest monday
    tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun jan feb mar apr may jun jul aug
    sep oct nov dec january february march april june july august september october november december am pm north
    south east west links rechts oben unten vorn hinten pos neg in and of the incoming
    arriving inbox pending unsorted unlabelled unlabeled unknown unjudged unchecked untested to inspect check review
    """
)
_OTHER_DATA = frozenset(["xyz", "depth", "pointcloud", "pcd"])


@dataclass(frozen=True)
class Meaning:
    """What a folder's name says.

    Attributes:
        label: whether what lies in it is good or defective; None: it does not say.
        general: a defective one that names no kind of defect (``bad``, ``ng``).
        split: what the images are for; None: it does not say.
        mask: masks lie in it.
        plain: the name tells nothing: a container (``images``), a day, a camera, a number.
        group: plain, and tells images of one kind apart (a day, a camera, a number).
        other: it holds data of another sort than photographs (depth, point clouds).
        alone: the name says nothing else: ``ok_front``, but not ``ok_products``.
    """

    label: Label | None = None
    general: bool = False
    split: Split | None = None
    mask: bool = False
    plain: bool = False
    group: bool = False
    other: bool = False
    alone: bool = False


def meaning(name: str) -> Meaning:
    """What a folder called ``name`` holds, in whatever case and however its words are joined.

    Example:
        >>> meaning("OK_front").label, meaning("not-ok").label, meaning("defectFree").label, meaning("MT_Free").label
        ('good', 'defective', 'good', 'good')
    """
    words = split_words(name)
    whole = "".join(words)
    if any(part in whole for part in _DEFECT_INSIDE):
        return Meaning("defective", general=True, alone=True)
    if any(part in whole for part in _GOOD_INSIDE):
        return Meaning("good", alone=True)
    split = next((_SPLITS[word] for word in words if word in _SPLITS), None)
    rest = [word for word in words if word not in _SPLITS]
    joined = "".join(rest)
    if joined in _OTHER_DATA:
        return Meaning(other=True)
    if joined == "groundtruth" or any(word in _MASKS for word in rest) or _alone(rest, _MASKS_ALONE):
        return Meaning(split=split, mask=True)
    label, general = _label(rest)
    if label is not None:
        alone = all(_is_plain(word) or word in _NOT | _FREE or _verdict(word) for word in rest if not _is_weak(word))
        return Meaning(label, general and alone, split, alone=alone)
    plain = all(_is_plain(word) for word in rest) and any(len(word) > 1 or word.isdigit() for word in rest)
    group = plain and split is None and any(word in _GROUPS or word.isdigit() for word in rest)
    return Meaning(split=split, plain=plain and split is None, group=group, alone=not rest or plain)


def is_called_masks(name: str) -> bool:
    """Whether a folder called ``name`` holds masks, by words that hardly mean anything else: not by ``labels``."""
    words = split_words(name)
    return "groundtruth" in "".join(words) or any(word in _MASKS for word in words)


def file_verdict(stem: str) -> Label | None:
    """What the name of an image says of it, by words that hardly mean anything else; None: nothing.

    Codes of digits and letters, as in hashes, are no words.

    Example:
        >>> file_verdict("IMG_003_NG"), file_verdict("ok12"), file_verdict("4bad-91c0_hole")
        ('defective', 'good', None)
    """
    parts = [part for part in re.split(r"[\W_]+", stem) if re.fullmatch(r"\d*[^\W\d_]+\d*", part)]
    words = [word for part in parts if not _HEX_CODE.fullmatch(part) for word in split_words(part)]
    return _label([word for word in words if word in _FREE or not _is_weak(word)])[0]


def split_words(name: str) -> list[str]:
    """The words of a name in lower case without accents; digits at their ends are words of their own.

    Example:
        >>> split_words("MT_Free"), split_words("testOK2"), split_words("n.i.O."), split_words("Défaut-3")
        (['mt', 'free'], ['test', 'ok', '2'], ['nio'], ['defaut', '3'])
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    plain = unicodedata.normalize("NFKC", plain)
    if re.fullmatch(r"(?:[^\W\d_]\s?[./]\s?)+[^\W\d_]?\.?", plain):  # n.i.O., N.G., i. O.
        return ["".join(c for c in plain if c.isalpha()).casefold()]
    if plain.casefold() in ("io", "nio"):  # iO and niO are one word
        return [plain.casefold()]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return [word.casefold() for word in re.findall(r"[^\W\d_]+|\d+", spaced)]


def _label(words: list[str]) -> tuple[Label | None, bool]:
    """The verdict of the words of a name, and whether it names no kind of defect."""
    found: list[tuple[Label, bool]] = []
    alone = False
    negated = False
    for word in words:
        if word in _NOT:
            negated = True
            continue
        if word in _FREE and found and found[-1][0] == "defective":
            found[-1] = ("good", False)
            continue
        verdict = _verdict(word)
        if verdict is None and _is_weak(word):
            last_free = word == "free" and word == words[-1]
            alone = alone or not last_free
            verdict = (
                ("good", False) if word in _GOOD_ALONE else ("defective", word in ("positive", "positives", "def"))
            )
        if verdict is not None:
            found.append(_opposite(verdict) if negated else verdict)
            negated = False
    if not found:
        return None, False
    known = _GOOD_ALONE | _DEFECT_ALONE | _NOT
    if alone and len(found) == 1 and not all(_is_plain(word) or word in known for word in words):
        return None, False
    if alone and words[0] in ("pos", "neg") and len(words) > 1:  # pos1 is a position
        return None, False
    defects = [general for label, general in found if label == "defective"]
    return ("defective", all(defects)) if defects else ("good", False)


def _verdict(word: str) -> tuple[Label, bool] | None:
    if word in _VERDICTS:
        return _VERDICTS[word]
    for prefix in _PREFIXES:
        inner = word.removeprefix(prefix)
        if inner != word and inner in _VERDICTS:
            return _opposite(_VERDICTS[inner])
    for suffix in _SUFFIXES:
        inner = word.removesuffix(suffix)
        if inner != word and inner in _VERDICTS and _VERDICTS[inner][0] == "defective":
            return _opposite(_VERDICTS[inner])
    return None


def _opposite(verdict: tuple[Label, bool]) -> tuple[Label, bool]:
    return ("defective", True) if verdict[0] == "good" else ("good", False)


def _is_weak(word: str) -> bool:
    return word in _GOOD_ALONE or word in _DEFECT_ALONE


def _is_plain(word: str) -> bool:
    return word.isdigit() or len(word) == 1 or word in _CONTAINERS or word in _GROUPS


def _alone(words: list[str], wanted: frozenset[str]) -> bool:
    """Whether one of ``wanted`` is all the name says; a number beside it makes a class of it (``label_0``)."""
    others = [word for word in words if word not in wanted]
    return len(others) < len(words) and all(word in _CONTAINERS for word in others)
