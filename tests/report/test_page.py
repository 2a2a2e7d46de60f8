"""The report file: whole, offline, marked, and safe with any name."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet.data import Sample
from realnet.errors import UserError
from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.results import Provenance, Results
from realnet.inspection.inspection import Inspection
from realnet.limits import Cell, Limits
from realnet.provenance import collect_provenance
from realnet.report.contents import AfsView, GalleryItem, afs_layer
from realnet.report.page import write_report
from realnet.synthesis import Anomaly

RNG = np.random.default_rng(0)
KINDS = ["good"] * 4 + ["dent", "<b>cut</b>"] * 2
LABELS = np.array([kind != "good" for kind in KINDS])
MASK = np.zeros((32, 32), bool)
MASK[4:12, 6:20] = True
MAPS = np.stack([RNG.random((32, 32)) * 0.5 + MASK * 0.4 * label for label in LABELS]).astype(np.float32)
SCORES = MAPS.max((1, 2))


class Page(HTMLParser):
    """Collects what a browser would load, the ids, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.loads.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def results(selection: str = "validation", masks: bool = True, threshold: float | None = 0.6) -> Results:
    samples = [Sample(Path(f"{i}.png"), "pl&te", "test", kind) for i, kind in enumerate(KINDS)]
    provenance = Provenance(**collect_provenance(
        data="plates <1>", data_fingerprint="f" * 64, split="test", seed=7, preset="lite",
        image_score="max", selection=selection,
    ))  # fmt: skip
    truth = [MASK if label and masks else None for label in LABELS]
    return evaluate_maps(samples, MAPS, truth, SCORES, provenance, threshold=threshold)


def gallery(masks: bool = True, size: tuple[int, int] = (48, 64)) -> list[GalleryItem]:
    return [
        GalleryItem(
            Sample(Path(f"<img src=x>{index}.png"), "plate", "test", kind),
            Inspection(float(score), 0.6, 0.5, anomaly_map, RNG.integers(0, 255, (*size, 3), dtype=np.uint8)),
            MASK if label and masks else None,
        )
        for index, (kind, label, anomaly_map, score) in enumerate(zip(KINDS, LABELS, MAPS, SCORES, strict=True))
    ]


def afs() -> AfsView:
    image = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    layer = afs_layer("stride 4", RNG.random((6, 8, 8)), RNG.random((6, 8, 8)), RNG.random(6), [1, 2])
    return AfsView(image, Anomaly(255 - image, MASK, image, 0.5, "dtd", "banded.jpg"), (layer,))


def synthetic() -> list[tuple[np.ndarray, Anomaly]]:
    image = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return [(image, Anomaly(255 - image, MASK, image, 0.5, "dtd", "<i>banded.jpg"))]


def limits() -> Limits:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, "WEBP")
    cells = [
        Cell(kind=kind, size=4, depth=depth, scores=(0.7,) * found + (0.1,) * (29 - found), places=((0.5, 0.1),) * 29)
        for kind, depth, found in (("hole", 16, 29), ("hole", 8, 20), ("missing", None, 3), ("sia", 40, 29))
    ]
    return Limits(
        drawn=tuple(cells), images=7, left_out=0, side=64, threshold=0.6,
        picture=base64.b64encode(stream.getvalue()).decode(),
    )  # fmt: skip


def whole(path: Path, selection: str = "validation") -> str:
    write_report(
        path, results(selection), SCORES, LABELS, gallery=gallery(), afs=afs(), synthetic=synthetic(),
        limits=limits(), threshold=0.6, facts={"training time": "9 min"},
    )  # fmt: skip
    return path.read_text(encoding="utf-8")


def test_it_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    text = whole(tmp_path / "report.html")
    page = Page(text)
    assert all(load.startswith(("data:image/", "#")) for load in page.loads)
    assert "://" not in text and "@import" not in text and "<script" not in text and "url(http" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert not page.open, "every element is closed"


def test_charts_do_not_share_ids_and_find_their_own(tmp_path: Path) -> None:
    page = Page(whole(tmp_path / "report.html"))
    assert len(page.ids) == len(set(page.ids))
    references = [load[1:] for load in page.loads if load.startswith("#")]
    references += re.findall(r"url\(#([^)]+)\)", (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert references and set(references) <= set(page.ids)


def test_everything_asked_for_is_there(tmp_path: Path) -> None:
    made = results()
    text = Page(whole(tmp_path / "report.html")).text
    for name in ("image_auroc", "pixel_auroc", "pro", "image_f1_max", "pixel_average_precision"):
        assert made.overall.text(name) in text
    assert made.defects[0].text("pro") in text
    for part in ("The chance that a defective image", "threshold 0.6", "good images rejected", "f" * 64, "9 min"):
        assert part in text
    for part in ("#1", "stride 4", "2 of 6 channels", "dtd, opacity 0.50", "image score", "8 of 8 images"):
        assert part in text
    for part in ("hole: smallest 4 px at 16 grey levels: 29 of 29.", "100*", "% strength", "where on the product"):
        assert part in text


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    text = whole(tmp_path / "report.html")
    assert "<img src=x>" not in text and "<b>cut" not in text and "<i>banded" not in text
    shown = Page(text).text
    assert "<img src=x>5.png" in shown and "pl&te" in shown and "<b>cut</b>" in shown and "<i>banded.jpg" in shown


def test_images_stand_in_the_order_given(tmp_path: Path) -> None:
    verdicts = re.findall(r'<span class="badge">([^<]+)</span>', whole(tmp_path / "report.html"))
    assert verdicts == [item.verdict for item in gallery()]


def test_oracle_marks_every_figure(tmp_path: Path) -> None:
    shown = Page(whole(tmp_path / "oracle.html", "oracle")).text
    # 7 figures above, 9 cells a row in three rows, two counts in the summary, two lines in the ROC chart, one remark.
    assert shown.count("(oracle)") == 7 + 9 * 3 + 2 + 2 + 1
    assert "(oracle)" not in Page(whole(tmp_path / "report.html")).text


def test_figures_alone_are_enough(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", results(masks=False, threshold=None), SCORES, LABELS)
    shown = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Image AUROC" in shown and "Pixel AUROC" not in shown
    assert "none of 4 defective images has a mask" in shown
    assert "Gallery" not in shown and "Which features" not in shown and "trained on" not in shown


def test_good_images_only(tmp_path: Path) -> None:
    samples = [Sample(Path(f"{i}.png"), "plate", "test", "good") for i in range(3)]
    made = evaluate_maps(samples, MAPS[:3], [None] * 3, [0.5] * 3, results().provenance)
    write_report(tmp_path / "report.html", made, [0.5] * 3, [False] * 3)
    shown = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "plate has no defective image" in shown and "good images rejected" not in shown


def test_missing_masks_are_named_and_large_images_shrunk(tmp_path: Path) -> None:
    write_report(
        tmp_path / "report.html", results(), SCORES, LABELS, gallery=gallery(masks=False, size=(900, 1200))[-3:]
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no mask" in text and "3 of 8 images" in text
    assert len(text) < 400_000


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"report\.html"):
        write_report(tmp_path / "file" / "report.html", results(), SCORES, LABELS)
