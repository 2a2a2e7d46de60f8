"""Inspectors that are made over HTTP, and on the page, of good images."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import requests

from realnet.calibration import Calibration, calibrate, read_calibration, save_calibration
from realnet.calibrations import install
from realnet.errors import UserError
from realnet.serving import Settings, open_models
from realnet.serving.workshop import Workshop
from tests.data.layouts import picture
from tests.serving.conftest import as_png, serving
from tests.serving.test_page import expect
from tests.serving.test_page_live import page  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def goods() -> list[bytes]:
    rng = np.random.default_rng(11)
    return [as_png(picture(rng)[0]) for _ in range(5)]


def give(address: str, data: bytes, name: str = "part", called: str = "a good part.png") -> requests.Response:
    return requests.post(f"{address}/v1/models/{name}/good", files={"image": (called, data)}, timeout=30)


def learn(address: str, name: str = "part") -> requests.Response:
    return requests.post(f"{address}/v1/models/{name}/learn", json={}, timeout=60)


def test_from_no_inspector_to_one_that_learns(workshop: Workshop, goods: list[bytes]) -> None:
    with serving({}, workshop=workshop) as address:
        assert requests.get(f"{address}/v1/models", timeout=30).json() == []
        assert requests.get(f"{address}/v1/about", timeout=30).json()["creates"]
        refused = requests.post(f"{address}/v1/inspect", files={"image": goods[0]}, timeout=30)
        assert refused.status_code == 404 and "none yet" in refused.json()["error"]
        first = give(address, goods[0]).json()
        assert first == {"name": "part", "made": False, "images": 1, "waiting": 1, "known": False}
        assert give(address, goods[0], called="again.png").json()["known"]
        few = learn(address)
        assert few.status_code == 409 and "too few" in few.json()["error"]
        for data in goods[1:3]:
            give(address, data)
        made = learn(address).json()
        assert made["sentences"] == ["Made of 3 images."] and made["seconds"] >= 0 and 0 < made["promised"] < 1
        (model,) = requests.get(f"{address}/v1/models", timeout=30).json()
        assert (model["name"], model["threshold"]) == ("part", made["threshold"])
        judged = requests.post(f"{address}/v1/inspect", files={"image": goods[0]}, timeout=30).json()
        assert judged["verdict"] in ("good", "anomalous", "unknown")
        nothing = learn(address)
        assert nothing.status_code == 409 and "already" in nothing.json()["error"]
        for data in goods[3:]:
            give(address, data)
        assert requests.get(f"{address}/v1/good", timeout=30).json() == [
            {"name": "part", "made": True, "images": 5, "waiting": 2, "known": False}
        ]
        more = learn(address).json()
        assert more["good_images"] == made["good_images"] + 2 and "2 good images joined" in more["sentences"][0]
    assert len(list((workshop.folder / "part.good").glob("*.png"))) == 5
    assert workshop.runs() == [workshop.folder / "part"], "what the next server begins with"


def test_what_is_refused(workshop: Workshop, goods: list[bytes], trained: Path) -> None:
    with serving({}, Settings(max_bytes=200_000, max_pixels=64 * 64), workshop=workshop) as address:
        for answer, status, said in [
            (give(address, goods[0], name="..part"), 422, "no name for an inspector"),
            (give(address, b"nothing of the kind"), 400, "a good part.png"),
            (give(address, goods[0], called="part.pdf"), 400, "does not end like an image"),
            (give(address, as_png(np.zeros((65, 64, 3), np.uint8))), 400, "64 x 65 pixels"),
            (give(address, bytes(300_000)), 413, "200,000 bytes"),
            (learn(address, "unheard-of"), 409, "too few"),
        ]:
            assert answer.status_code == status and said in answer.json()["error"], answer.text
        extra = {"image": goods[0]}
        strange = requests.post(f"{address}/v1/models/part/good", files=extra, data={"threshold": "1"}, timeout=30)
        assert strange.status_code == 422 and "threshold" in strange.json()["error"]
        assert not workshop.folder.exists(), "nothing was kept"
    with serving(open_models([f"part={trained}"])) as address:
        for answer in (give(address, goods[0]), learn(address)):
            assert answer.status_code == 403 and "--create" in answer.json()["error"]
        assert requests.get(f"{address}/v1/good", timeout=30).json() == []


def test_nothing_is_lost_where_making_fails(tmp_path: Path, goods: list[bytes]) -> None:
    def make(images: Path, run: Path) -> list[str]:
        run.mkdir()
        raise UserError(f"These images are of two products: {run}.")

    shop = Workshop(tmp_path / "made", make, lambda run, files: [], lambda run, image: [])
    with serving({}, workshop=shop) as address:
        for data in goods[:2]:
            give(address, data)
        for _ in range(2):
            assert "These images are of two products" in learn(address).json()["error"]
        assert not list(shop.folder.glob(".*")), "nothing half made is left"
        assert requests.get(f"{address}/v1/good", timeout=30).json()[0]["waiting"] == 2


@pytest.fixture
def files(tmp_path: Path, goods: list[bytes]) -> Iterator[list[Path]]:
    found = [tmp_path / f"{number}.png" for number in range(len(goods))]
    for file, data in zip(found, goods, strict=True):
        file.write_bytes(data)
    yield found


def test_the_page_makes_one(page, workshop: Workshop, files: list[Path], tmp_path: Path) -> None:  # noqa: F811
    with serving({}, workshop=workshop) as address:
        page.goto(address)
        expect(page.locator("#making-count")).to_have_text("0 good images")
        expect(page.locator("#drop")).to_be_hidden()
        expect(page.locator("#making-learn")).to_be_disabled()
        for name, said in (("", "Give the inspector a name first."), ("lid left", "lid left is no name for an ")):
            page.fill("#making-name", name)
            page.set_input_files("#making-files", files[:3])
            expect(page.locator("#problem")).to_contain_text(said)
        assert page.locator("#problem").inner_text().count("is no name") == 1, "said once, not once an image"
        page.fill("#making-name", "bolt")
        (tmp_path / "notes.png").write_text("no image")
        page.set_input_files("#making-files", [*files[:3], files[0], tmp_path / "notes.png"])
        expect(page.locator("#problem")).to_contain_text("notes.png")
        expect(page.locator("#making-count")).to_have_text("3 good images; 1 had been given before")
        page.click("#making-learn")
        expect(page.locator("#making-figures tbody tr")).to_have_count(1, timeout=20_000)
        expect(page.locator("#making-said")).to_have_text("Made of 3 images.")
        expect(page.locator("#about-name")).to_have_text("bolt")
        expect(page.locator("#drop")).to_be_visible()
        page.set_input_files("#making-files", files[3:])
        expect(page.locator("#making-count")).to_have_text("5 good images, 2 of them new")
        expect(page.locator("#making-learn")).to_have_text("Learn the new ones")
        page.click("#making-learn")
        expect(page.locator("#making-figures tbody tr")).to_have_count(2, timeout=20_000)
        expect(page.locator("#making-figures tbody tr").last).to_have_text(re.compile(r"\d+\d\.\d{4}\d+\.\d %\d+\.\d"))
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it fits a phone"
        page.screenshot(path=tmp_path / "making.png")


@pytest.fixture
def suspicious(trained: Path, tmp_path: Path) -> Workshop:
    """What is called bent scores far above the others; what is called torn cannot be left out."""

    def calibrated(names: Sequence[str]) -> Calibration:
        scores = [0.9 + 0.001 * i if "bent" in name else 0.05 + 0.001 * i for i, name in enumerate(names)]
        return calibrate(scores, 0.4, 0.1, "good images", "2026-01-01", names=names)

    def make(images: Path, run: Path) -> list[str]:
        names = sorted(file.name for file in images.glob("*.png"))
        shutil.copytree(trained, run)
        save_calibration(run, calibrated(names))
        return [f"Made of {len(names)} images: {run}."]

    def leave_out(run: Path, image: str) -> list[str]:
        if "torn" in image:
            raise UserError("It cannot be left out.")
        before = read_calibration(run)
        assert before is not None
        made = calibrated([name for name in before.good_names if name != image])
        install(run, made.with_confirmed(before.confirmed))
        return [f"{image} is left out."]

    return Workshop(tmp_path / "made", make, lambda run, files: [], leave_out)


def many(count: int) -> list[bytes]:
    rng = np.random.default_rng(12)
    return [as_png(picture(rng)[0]) for _ in range(count)]


def test_a_person_says_what_good_images_that_stand_out_are(suspicious: Workshop) -> None:
    with serving({}, workshop=suspicious) as address:
        odd = f"{address}/v1/models/part/odd"
        assert requests.get(odd, timeout=30).status_code == 404, "there is no inspector yet"
        data = many(12)
        for number, one in enumerate(data):
            give(address, one, called={0: "bent-a.png", 1: "bent-b.png", 2: "torn.png"}.get(number, f"{number}.png"))
        half = suspicious.folder / ".part.making"
        half.mkdir()  # of a server that was ended in the middle
        (half / "config.yaml").touch()
        made = learn(address).json()
        assert made["good_images"] == 12 and made["sentences"] == [f"Made of 12 images: {suspicious.folder / 'part'}."]
        found = requests.get(odd, timeout=30).json()
        first, second = (one["image"] for one in found)
        assert "bent" in first and "bent" in second
        assert all(one["picture"].startswith("data:image/webp;base64,") for one in found)
        (left,) = requests.post(f"{odd}/{first}/keep", timeout=30).json()
        assert left["image"] == second
        out = requests.post(f"{odd}/{second}/leave-out", timeout=60).json()
        assert out["good_images"] == 11 and "left out" in out["sentences"][0]
        assert requests.get(odd, timeout=30).json() == [], "what was called good stays so"
        (model,) = requests.get(f"{address}/v1/models", timeout=30).json()
        assert model["threshold"] == out["threshold"]
        number = 0 if second.endswith("-a.png") else 1
        assert give(address, data[number]).json() == {
            "name": "part", "made": True, "images": 11, "waiting": 0, "known": True,
        }, "what was left out does not come back with the whole folder"  # fmt: skip
        for image in ("nobody.png", "learned.txt", "..%2Fpart.left-out%2Fx.png"):
            for what in ("keep", "leave-out"):
                assert requests.post(f"{odd}/{image}/{what}", timeout=30).status_code in (404, 409)
        torn = next(file for file in (suspicious.folder / "part.good").iterdir() if "torn" in file.name)
        failed = requests.post(f"{odd}/{torn.name}/leave-out", timeout=30)
        assert failed.status_code == 409 and failed.json() == {"error": "It cannot be left out."}
        assert torn.is_file() and len(requests.get(f"{address}/v1/models", timeout=30).json()) == 1
    assert sorted(path.name for path in suspicious.folder.iterdir() if path.is_dir()) == [
        "part", "part.good", "part.left-out",
    ]  # fmt: skip
    assert suspicious.runs() == [suspicious.folder / "part"]


def test_the_page_shows_them(page, suspicious: Workshop, tmp_path: Path) -> None:  # noqa: F811
    files = []
    for number, data in enumerate(many(12)):
        files.append(tmp_path / ({0: "bent-a.png", 1: "bent-b.png"}.get(number, f"{number}.png")))
        files[-1].write_bytes(data)
    with serving({}, workshop=suspicious) as address:
        page.goto(address)
        page.set_input_files("#making-files", files)
        expect(page.locator("#making-count")).to_have_text("12 good images", timeout=20_000)
        page.click("#making-learn")
        expect(page.locator("#making-odd figure")).to_have_count(2, timeout=20_000)
        page.locator("#making-odd figure", has_text="bent-a.png").get_by_text("It is good").click()
        expect(page.locator("#making-odd figcaption")).to_have_text(["bent-b.png"])
        page.reload()  # it was said once and for all
        expect(page.locator("#making-odd figcaption")).to_have_text(["bent-b.png"])
        page.get_by_text("Leave it out").click()
        expect(page.locator("#making-odd")).to_be_hidden(timeout=20_000)
        expect(page.locator("#making-said")).to_contain_text("bent-b.png is left out")
        expect(page.locator("#making-count")).to_have_text("11 good images")


def test_good_parts_are_photographed(page, workshop: Workshop) -> None:  # noqa: F811
    with serving({}, workshop=workshop) as address:
        page.goto(address)
        page.click("#making-photo")  # the camera starts
        expect(page.locator("#live-verdict")).to_contain_text("There is no inspector yet")
        page.click("#making-photo")
        expect(page.locator("#making-count")).to_have_text("1 good image")
        page.click("#live-stop")
    assert next((workshop.folder / "part.good").iterdir()).name.endswith("Z.png")
