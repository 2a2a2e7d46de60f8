"""The paper's figures: spot checks against the print, and what the print itself implies."""

import statistics

import pytest
from pydantic import ValidationError

from realnet.benchmark.columns import COLUMNS
from realnet.benchmark.plan import package_names
from realnet.benchmark.reported import Reported, ReportedTable, reported
from realnet.errors import UserError

TEXTURES = {"Carpet", "Grid", "Leather", "Tile", "Wood"}

PRINTED = [
    ("table1", "SIA", "Transistor", "pro", 0.9292),
    ("table1", "CutPaste", "zipper", "pixel_auroc", 0.9803),
    ("table1", "NSA", "AVG Object", "pro", 0.9104),
    ("table1", "DTD", "AVG Texture", "image_auroc", 0.9993),
    ("table1", "SIA", None, "image_auroc", 0.9965),
    ("table2", "DRAEM+SSPCAB", None, "pixel_auroc", 0.972),
    ("table2", "RealNet", None, "pixel_auroc", 0.990),
    ("table3", "DTD", "Connector", "pro", 0.6591),
    ("table3", "CutPaste", "Bracket Black", "image_auroc", 0.6642),
    ("table4", "Skip-GANomaly", None, "image_auroc", 0.648),
    ("table5a", "RLPR", None, "pro", 0.8226),
    ("table5a", "AFS", None, "pixel_auroc", 0.9632),
    ("table5b", "s = 0.2", None, "pro", 0.8936),
    ("tableS1", "VT-ADL", "03", "pixel_auroc", 0.77),
    ("tableS1", "RealNet (SIA)", "02", "image_auroc", 0.886),
    ("tableS2", "SPADE", "PCB2", "image_auroc", 0.507),
    ("tableS2", "RealNet (DTD)", "Pipe fryum", "pixel_auroc", 0.986),
    ("tableS3", "ResNet34 {64, 128, 256, 128}", "Leather", "pro", 0.9828),
    ("tableS3", "EfficientNetB4 {24, 32, 56, 160}", None, "image_auroc", 0.9862),
    ("tableS4", "C {256, 512, 512, 256} at 256", None, "images_per_second", 22.39),
    ("tableS4", "A {256, 512, 512, 256} at 512", None, "model_gigabytes", 2.2),
    ("tableS5", "OmniAL", None, "image_auroc", 0.972),
]


@pytest.mark.parametrize(("table", "row", "category", "metric", "value"), PRINTED)
def test_as_printed(table: str, row: str, category: str | None, metric: str, value: float) -> None:
    assert reported(table).figure(row, category, metric) == Reported(value=value)


def test_deviations_and_dashes() -> None:
    quality = reported("tableS6")
    assert quality.figure("SIA", None, "FID") == Reported(value=60.39, deviation=1.26)
    assert quality.figure("NSA", None, "cluster LPIPS") == Reported(value=0.09, deviation=0.01)
    assert reported("table2").figure("DSR", None, "pixel_auroc") is None
    assert reported("tableS1").figure("VT-ADL", "01", "image_auroc") is None


def test_every_figure_of_every_table_is_there() -> None:
    """Methods x metrics x (products and means), less what is printed as a dash."""
    counts = {name: sum(len(row.figures) for row in reported(name).rows) for name in package_names("reported")}
    assert counts == {
        "table1": 4 * 3 * 18,
        "table2": 10 * 2 - 1,
        "table3": 3 * 3 * 7,
        "table4": 7 * 2,
        "table5a": 6 * 3,
        "table5b": 4 * 3,
        "tableS1": 7 * 2 * 4 - 2 * 4,
        "tableS2": 6 * 2 * 13,
        "tableS3": 4 * 3 * 16,
        "tableS4": 5 * 5,
        "tableS5": 5 * 2,
        "tableS6": 4 * 2,
    }


def products_of(table: ReportedTable) -> list[str]:
    named = {row.category for row in table.rows if row.category is not None}
    return sorted(name for name in named if not name.startswith("AVG"))


@pytest.mark.parametrize("name", ["table1", "table3", "tableS1", "tableS2", "tableS3"])
def test_means_are_those_of_the_products(name: str) -> None:
    """To the last digit printed: 0.01 per cent where there are two decimals, 0.1 where there is one."""
    table = reported(name)
    products = products_of(table)
    means: dict[str | None, list[str]] = {None: products}
    if any(row.category == "AVG Texture" for row in table.rows):
        means["AVG Texture"] = [category for category in products if category in TEXTURES]
        means["AVG Object"] = [category for category in products if category not in TEXTURES]
    unit = 1e-3 if name in ("tableS1", "tableS2") else 1e-4
    for mean, parts in means.items():
        for label in {row.label for row in table.rows}:
            for metric in table.metrics:
                printed = table.figure(label, mean, metric)
                figures = [table.figure(label, part, metric) for part in parts]
                if printed is None:
                    assert not any(figures)
                    continue
                computed = statistics.mean(figure.value for figure in figures if figure is not None)
                assert None not in figures
                assert printed.value == pytest.approx(computed, abs=unit), (label, mean, metric)


def test_tables_agree_where_they_show_the_same_model() -> None:
    """SIA on WideResNet50 {256, 512, 512, 256} stands in six tables."""
    whole = reported("table1")
    wide = "WideResNet50 {256, 512, 512, 256}"
    products = products_of(whole)
    for metric in whole.metrics:
        for category in [*products, None]:
            assert whole.figure("SIA", category, metric) == reported("tableS3").figure(wide, category, metric)
        mean = whole.figure("SIA", None, metric)
        assert mean is not None
        assert mean == reported("table5a").figure("AFS + RRS", None, metric)
        assert mean == reported("table5b").figure("s in [0.1, 0.2]", None, metric)
        assert mean == reported("tableS4").figure("A {256, 512, 512, 256} at 256", None, metric)
    for short, long in (("table2", "table1"), ("table4", "table3")):
        for metric in ("image_auroc", "pixel_auroc"):
            rounded, full = reported(short).figure("RealNet", None, metric), reported(long).figure("SIA", None, metric)
            assert rounded is not None
            assert full is not None
            assert rounded.value == pytest.approx(full.value, abs=0.00051)


@pytest.mark.parametrize("name", ["metal_nut", "Metal Nut", "metal-nut", "METALNUT"])
def test_products_are_found_under_the_names_of_folders(name: str) -> None:
    assert reported("table1").figure("sia", name, "pro") == Reported(value=0.9439)


def test_what_is_not_in_a_table() -> None:
    table = reported("table1")
    assert table.figure("SIA", "candle", "pro") is None
    assert table.figure("PatchCore", None, "pro") is None
    assert table.figure("SIA", None, "FID") is None
    assert reported("table2").figure("RealNet", "Carpet", "image_auroc") is None
    with pytest.raises(UserError, match="no reported table 'table9': use table1, table2, "):
        reported("table9")
    with pytest.raises(UserError, match="no reported table"):
        reported("../plans/table1")


@pytest.mark.parametrize("name", package_names("reported"))
def test_tables_are_well_formed(name: str) -> None:
    table = reported(name)
    assert set(table.metrics) <= set(COLUMNS)
    assert table.dataset in ("MVTec AD", "MPDD", "BTAD", "VisA")
    shares = ("image_auroc", "pixel_auroc", "pro")
    values = [row.figures[metric].value for row in table.rows for metric in shares if metric in row.figures]
    assert all(0.4 < value <= 1 for value in values)
    with pytest.raises(ValidationError):
        table.dataset = "another"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"label": "SIA", "figures": {"pro": 0.9}}, {"label": "sia", "figures": {"pro": 0.8}}], "two rows are"),
        ([{"label": "SIA", "figures": {"FID": 60}}], "FID is none of the metrics"),
        ([{"label": "SIA", "figures": {"pro": "-"}}], "valid"),
    ],
)
def test_a_doubtful_table_is_refused(rows: list[dict[str, object]], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ReportedTable.model_validate({"dataset": "d", "metrics": ["pro"], "rows": rows})
