"""What the server answers."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from realnet import load
from realnet.calibration import save_calibration, with_threshold
from realnet.calibrations import install, list_versions
from realnet.data import image_from_array
from realnet.data.images import image_hash
from realnet.errors import UserError
from realnet.history import Query, open_history, search
from realnet.inspection.trace import Trace
from realnet.limits import Cell, Limits, save_limits
from realnet.run_folder import Run
from realnet.serving import ServedModel, Settings, open_models
from realnet.serving.schemas import InspectAnswer
from tests.data.layouts import picture
from tests.serving.conftest import as_png, serving


def ask(server: str, image: bytes, name: str = "photo.png", **fields: object) -> requests.Response:
    data = {"model": "first", **{key: str(value) for key, value in fields.items()}}
    return requests.post(f"{server}/v1/inspect", files={"image": (name, image)}, data=data, timeout=60)


def test_the_answer_is_the_inspectors(server: str, trained: Path, png: bytes) -> None:
    inspector = load(trained)
    expected = inspector.inspect(Image.open(io.BytesIO(png)), threshold=0)
    answer = ask(server, png, threshold=0)
    assert answer.status_code == 200
    found = InspectAnswer.model_validate(answer.json())
    assert (found.name, found.model, found.width, found.height) == ("photo.png", "first", 64, 64)
    assert found.score == pytest.approx(expected.score, abs=1e-6)
    assert found.verdict == "anomalous"
    assert found.anomalous_area == pytest.approx(expected.mask.mean())
    assert [(r.area, r.box, r.peak_at) for r in found.regions] == [(r.area, r.box, r.peak_at) for r in expected.regions]
    assert found.heatmap_png is None
    calibrated = ask(server, png).json()
    assert calibrated["threshold"] == pytest.approx(inspector.threshold)
    assert calibrated["verdict"] == ("anomalous" if expected.score > inspector.threshold else "good")
    passing = ask(server, png, threshold=1).json()
    assert (passing["verdict"], passing["regions"], passing["anomalous_area"]) == ("good", [], 0)


def test_json_and_multipart_say_the_same(server: str, png: bytes) -> None:
    text = base64.b64encode(png).decode()
    given = {"image": text, "name": "photo.png", "model": "first", "threshold": 0.01, "heatmap": True}
    by_json = requests.post(f"{server}/v1/inspect", json=given).json()
    by_form = ask(server, png, threshold=0.01, heatmap="true").json()
    for answer in (by_json, by_form):
        assert answer.pop("id") and answer.pop("time")
    assert by_json == by_form
    by_address = requests.post(f"{server}/v1/inspect", json={**given, "image": f"data:image/png;base64,{text}"}).json()
    assert {name: value for name, value in by_address.items() if name not in ("id", "time")} == by_form
    shown = Image.open(io.BytesIO(base64.b64decode(by_json["heatmap_png"])))
    assert (shown.format, shown.size) == ("PNG", (64, 64))


def test_outlines_enclose_their_regions(server: str) -> None:
    import cv2

    rng = np.random.default_rng(5)
    image = picture(rng, size=160, defect=True)[0]
    regions = ask(server, as_png(image), threshold=0).json()["regions"]
    for region in regions:
        x, y, width, height = region["box"]
        points = np.array(region["outline"], np.int32)
        assert (points.min(0) >= (x - 1, y - 1)).all()
        assert (points.max(0) <= (x + width, y + height)).all()
        drawn = np.zeros((160, 160), np.uint8)
        cv2.fillPoly(drawn, [points], 1)
        assert abs(int(drawn.sum()) - region["area"]) <= 0.35 * region["area"] + 2 * len(points) + 8


def test_a_large_image_comes_back_smaller_but_is_measured_in_its_own_pixels(server: str) -> None:
    image = np.full((900, 2560, 3), 90, np.uint8)
    answer = ask(server, as_png(image), heatmap="true").json()
    assert (answer["width"], answer["height"]) == (2560, 900)
    assert Image.open(io.BytesIO(base64.b64decode(answer["heatmap_png"]))).size == (1280, 450)


@pytest.mark.parametrize("minimum_area", [0, 64 * 64 + 1])
def test_the_smallest_defect_can_be_named(server: str, png: bytes, minimum_area: int) -> None:
    answer = ask(server, png, threshold=0, minimum_area=minimum_area).json()
    assert answer["verdict"] == ("good" if minimum_area else "anomalous")


def test_many_at_once_each_get_their_own_answer(server: str, trained: Path) -> None:
    rng = np.random.default_rng(3)
    images = [picture(rng, defect=bool(i % 2))[0] for i in range(40)]
    expected = [found.score for found in load(trained).inspect_many(images)]
    assert len(set(expected)) > 30
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: ask(server, as_png(images[i]), name=f"{i}").json(), range(40)))
    assert [answer["name"] for answer in answers] == [str(i) for i in range(40)]
    # Batches of different sizes round differently, in the last places only.
    assert [answer["score"] for answer in answers] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("status", "part", "kwargs"),
    [
        (400, "is empty (0 bytes)", {"files": {"image": b""}}),
        (400, "is not an image", {"files": {"image": b"hello"}}),
        (422, "Send one file", {"files": {"picture": b"hello"}}),
        (422, "Send one file", {"data": {"image": "x"}, "files": {"other": b""}}),
        (415, "not text/plain", {"data": b"x", "headers": {"Content-Type": "text/plain"}}),
        (415, "a body of no type", {"data": b"x"}),
        (400, "no JSON", {"data": b"{", "headers": {"Content-Type": "application/json"}}),
        (400, "no JSON", {"data": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}),
        (422, "a JSON object", {"json": [1]}),
        (422, "image: Field required", {"json": {}}),
        (422, "no base64", {"json": {"image": "?"}}),
        (422, "there is no field colour", {"json": {"image": "", "colour": 1}}),
        (422, "threshold", {"json": {"image": "", "threshold": 2}}),
        (422, "threshold", {"json": {"image": "", "threshold": "0.5"}}),
        (422, "threshold", {"files": {"image": b"x"}, "data": {"threshold": "nan"}}),
        (422, "minimum_area", {"files": {"image": b"x"}, "data": {"minimum_area": "-1"}}),
        (404, "There is no such model: this server has first, second", {"json": {"image": "", "model": "third"}}),
        (404, "Name a model", {"json": {"image": ""}}),
        (400, "multipart", {"data": b"garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
        (400, "multipart", {"data": b"garbage", "headers": {"Content-Type": "multipart/form-data"}}),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(server: str, status: int, part: str, kwargs: dict) -> None:
    if "files" in kwargs:
        kwargs = {**kwargs, "data": {"model": "first", **kwargs.get("data", {})}}
    answer = requests.post(f"{server}/v1/inspect", **kwargs)
    assert answer.status_code == status
    assert part in answer.json()["error"]
    assert "Traceback" not in answer.text


def test_other_places_and_methods(server: str) -> None:
    assert requests.get(f"{server}/nothing").status_code == 404
    assert requests.get(f"{server}/v1/inspect").status_code == 405
    assert "error" in requests.get(f"{server}/v1/inspect").json()
    assert requests.get(f"{server}/v1/models/../../etc/passwd").status_code == 404
    assert requests.get(f"{server}/v1/models/third/report").json()["error"].startswith("There is no such model")


def test_health_models_and_their_files(server: str, models: dict[str, ServedModel], trained: Path) -> None:
    assert requests.get(f"{server}/health").json()["models"] == ["first", "second"]
    first, second = requests.get(f"{server}/v1/models").json()
    assert (first["name"], second["name"]) == ("first", "second")
    assert first["threshold"] == pytest.approx(models["first"].judge.threshold)
    assert first["calibration"][0].startswith("Threshold ")
    sheet = requests.get(f"{server}/v1/models/first/synthetic-defects")
    assert sheet.content == (trained / "synthetic_defects.png").read_bytes()
    assert first["report"] is False
    assert requests.get(f"{server}/v1/models/first/report").status_code == 404


def test_what_it_finds_is_said_and_drawn_at_the_threshold_in_force(own: Path) -> None:
    with serving(open_models([str(own)])) as address:
        assert requests.get(f"{address}/v1/models").json()[0]["limits"] == []
        assert "run `realnet limits`" in requests.get(f"{address}/v1/models/run/limits").json()["error"]
        scores = (0.2,) * 29
        holes = Cell(kind="hole", size=4, depth=16, scores=scores, places=((0.5, 0.5),) * 29)
        limits = Limits(drawn=(holes,), images=3, left_out=0, side=64, threshold=0.9, digest=Run(own).digest)
        save_limits(own, limits)
        install(own, with_threshold(Run(own).calibration, 0.1, "", ""))  # type: ignore[arg-type]
        said = requests.get(f"{address}/v1/models").json()[0]["limits"]
        assert said == ["hole: smallest 4 px at 16 grey levels: 29 of 29."]
        assert requests.get(f"{address}/v1/models/run/limits").content.startswith(b"\x89PNG")
        save_limits(own, limits.model_copy(update={"digest": "another"}))
        assert requests.get(f"{address}/v1/models").json()[0]["limits"] == []
        (own / "limits.json").write_text("{")
        assert requests.get(f"{address}/v1/models").json()[0]["limits"] == []


def test_metrics_count(trained: Path, png: bytes) -> None:
    with serving(open_models([str(trained)])) as address:
        for body in (png, png, b"nothing"):
            requests.post(f"{address}/v1/inspect", files={"image": body})
        text = requests.get(f"{address}/metrics").text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["realnet_requests_total", "200"] == 2
    assert samples["realnet_requests_total", "400"] == 1
    assert sum(value for key, value in samples.items() if key[0] == "realnet_images_total") == 2
    assert samples["realnet_batch_images_sum",] == 2
    assert samples["realnet_requests_in_progress",] == 0
    name = trained.name
    assert samples["realnet_drift_warning", name] == 0


def test_drift_is_said(trained: Path) -> None:
    models = open_models([str(trained)])
    (model,) = models.values()
    with serving(models) as address:
        assert requests.get(f"{address}/v1/models").json()[0]["drift"] is None
        assert model.judge.calibration is not None
        good = tuple(np.linspace(0.01, 0.02, 50))
        model.judge.calibration = model.judge.calibration.model_copy(update={"good_scores": good})
        model.recent.extend(np.linspace(0.5, 0.6, 50))
        assert "are higher than" in requests.get(f"{address}/v1/models").json()[0]["drift"]
        assert "realnet_drift_warning" in requests.get(f"{address}/metrics").text


def test_openapi_names_both_kinds_of_request(server: str) -> None:
    described = requests.get(f"{server}/openapi.json").json()
    post = described["paths"]["/v1/inspect"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    assert {"200", "400", "401", "413", "429", "503"} <= set(post["responses"])
    properties = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(properties) == {"image", "name", "model", "threshold", "minimum_area", "heatmap", "all_regions", "id"}


def test_a_failure_of_the_server_is_one_sentence(trained: Path, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    models = open_models([str(trained)])
    (model,) = models.values()
    good = model.judge.measure

    def fail(images: object) -> object:
        raise MemoryError("secret reason")

    with serving(models) as address:
        model.judge.measure = fail  # type: ignore[method-assign, assignment]
        answer = requests.post(f"{address}/v1/inspect", files={"image": png})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        model.judge.measure = good  # type: ignore[method-assign]
        assert requests.post(f"{address}/v1/inspect", files={"image": png}).status_code == 200
    assert "secret reason" in caplog.text


def test_names_of_models(trained: Path, tmp_path: Path) -> None:
    assert list(open_models([str(trained)])) == [trained.name]
    with pytest.raises(UserError, match="Two inspectors are called 'a'"):
        open_models([f"a={trained}", f"a={trained}"])
    with pytest.raises(UserError, match="is no name"):
        open_models([f"../a={trained}"])
    with pytest.raises(UserError, match="There is no run"):
        open_models([str(tmp_path / "nothing")])


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[list[tuple[str, bytes, np.ndarray]]]:
    """Files of unusual kinds, and what is to be seen in them."""
    grey = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    colour = picture(np.random.default_rng(1))[0]
    found = []
    for name, image in {
        "16-bit.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "grey.png": Image.fromarray(grey),
        "palette.gif": Image.fromarray(colour).convert("P"),
        "rgba.png": Image.fromarray(colour).convert("RGBA"),
        "cmyk.tif": Image.fromarray(colour).convert("CMYK"),
    }.items():
        image.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        found.append((name, data, image_from_array(Image.open(tmp_path / name))))
    yield found


def test_images_of_every_kind_are_judged_as_the_inspector_judges_them(
    server: str, trained: Path, odd: list[tuple[str, bytes, np.ndarray]]
) -> None:
    inspector = load(trained)
    for name, data, image in odd:
        answer = ask(server, data, name=name)
        assert answer.status_code == 200, json.dumps(answer.json())
        assert answer.json()["score"] == pytest.approx(inspector.inspect(image).score, abs=1e-5)


def test_every_answer_is_a_row_of_the_store(own: Path, png: bytes, tmp_path: Path) -> None:
    store = open_history(tmp_path / "r.sqlite")
    with serving(open_models([f"first={own}"]), store=store) as address:
        answer = ask(address, png).json()
        assert answer["recorded"] is True
        (entry,) = search(store, Query())
        for name in {"score", "threshold", "verdict", *(field.name for field in fields(Trace))}:
            assert getattr(entry, name) == answer[name], name
        assert entry.calibration == 1 and entry.image_hash == image_hash(
            picture(np.random.default_rng(8), defect=True)[0]
        )
        assert ask(address, png, threshold=0.001).json()["calibration"] is None
        # An answer that was lost: sent again by the same id, it is the same result.
        first = ask(address, png, id="e" * 32, threshold=0.001).json()
        again = ask(address, png, id="e" * 32).json()
        assert {**again, "heatmap_png": None} == first
        assert len(search(store, Query())) == 3
        assert (
            "another image's" in ask(address, as_png(picture(np.random.default_rng(1))[0]), id="e" * 32).json()["error"]
        )
        assert ask(address, b"no image", name="torn.png").status_code == 400
        assert (search(store, Query())[0].image, search(store, Query())[0].verdict) == ("torn.png", "unreadable")
        found = requests.get(f"{address}/v1/history", params={"verdict": "unreadable"}).json()
        assert (found["total"], found["results"][0]["image"]) == (1, "torn.png")
        shown = requests.get(f"{address}/v1/history/{answer['id'][:8]}/picture")
        assert Image.open(io.BytesIO(shown.content)).size == (64, 64)
        said = {"label": "defective", "who": "Ann", "why": "scratch"}
        kept = requests.post(f"{address}/v1/history/{answer['id']}/feedback", json=said).json()
        assert {name: kept[name] for name in said} == said
        assert requests.get(f"{address}/v1/models").json()[0]["confirmed"].startswith("Of 1 confirmed defect ")
        for place, given in ((answer["id"], {"label": "maybe", "who": "Ann"}), ("0" * 32, said), ("%25", said)):
            refused = requests.post(f"{address}/v1/history/{place}/feedback", json=given)
            assert refused.status_code in (404, 422) and "error" in refused.json()
        wrong = requests.get(f"{address}/v1/history", params={"limit": "many"})
        assert wrong.status_code == 422 and "limit" in wrong.json()["error"]


def test_without_a_record_there_is_no_verdict(own: Path, png: bytes, tmp_path: Path) -> None:
    store = open_history(tmp_path / "r.sqlite")
    (pages,) = store.ask("PRAGMA page_count")
    with serving(open_models([f"first={own}"]), store=store) as address:
        store.ask(f"PRAGMA max_page_count = {pages[0]}")
        for _ in range(40):
            if (answer := ask(address, png)).status_code != 200:
                break
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
        assert "results store" in answer.json()["error"]
        store.ask("PRAGMA max_page_count = 100000")
        assert ask(address, png).status_code == 200


def test_a_running_server_takes_a_new_calibration_up(own: Path, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    models = open_models([f"first={own}"])
    made = models["first"].judge.calibration
    assert made is not None
    with serving(models, Settings(api_key="correct horse")) as address, requests.Session() as session:
        session.headers["X-API-Key"] = "correct horse"

        def judged() -> dict:
            return session.post(f"{address}/v1/inspect", files={"image": png}).json()

        assert judged()["calibration"] == 1
        install(own, with_threshold(made, 0.123, "Moved.", "2026-01-01"))
        found = judged()
        assert (found["calibration"], found["threshold"]) == (2, 0.123)
        assert "calibration taken up" in caplog.text
        (own / "calibration.json").write_text("{")
        assert judged()["calibration"] == 2 and "calibration not taken up" in caplog.text
        undo_to = list_versions(own)[1]
        save_calibration(own, undo_to)
        saved = session.post(f"{address}/v1/models/first/calibration", json={"threshold": 0.2, "who": "Ann"}).json()
        assert (saved["threshold"], saved["calibration_version"]) == (0.2, 3)
        assert judged()["threshold"] == 0.2 == load(own).threshold


def test_thresholds_are_saved_on_servers_with_a_key_only(server: str) -> None:
    refused = requests.post(f"{server}/v1/models/first/calibration", json={"threshold": 0.2, "who": "Ann"})
    assert refused.status_code == 403 and "--api-key" in refused.json()["error"]
    assert requests.get(f"{server}/v1/history").status_code == 404


def test_parameters_in_the_url_are_refused(server: str, png: bytes) -> None:
    for query in ("threshold=0", "threshold=nan&model=first", "sensitivity=3"):
        answer = requests.post(f"{server}/v1/inspect?{query}", files={"image": ("a.png", png)}, timeout=60)
        assert answer.status_code == 422
        assert "in the URL: nothing is read there; send it as a field of the body." in answer.json()["error"]


def test_an_answer_says_what_was_read_differently(server: str) -> None:
    product = Image.fromarray(picture(np.random.default_rng(3))[0])
    clear = product.convert("RGBA")
    clear.putalpha(0)

    def saved(image: Image.Image, form: str, **options: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    thumbnail = product.resize((16, 16))
    cases = {
        "largest is read": saved(thumbnail, "TIFF", save_all=True, append_images=[product]),
        "alpha channel that is 0 everywhere": saved(clear, "PNG"),
        "first frame is read": saved(product, "GIF", save_all=True, append_images=[thumbnail.resize(product.size)]),
    }
    for words, data in cases.items():
        (note,) = ask(server, data, name="part 7").json()["notes"]
        assert note.startswith("part 7 ") and words in note
    assert ask(server, saved(product, "PNG")).json()["notes"] == []
    note, *_ = ask(server, saved(thumbnail, "PNG"), name="small").json()["notes"]
    assert note.startswith("small has another size than the images that the run was trained on")


def test_an_answer_says_why_a_score_above_the_threshold_passes(server: str, png: bytes) -> None:
    answer = ask(server, png, threshold=0, minimum_area=64 * 64 + 1).json()
    assert (answer["verdict"], answer["score"] > 0) == ("good", True)
    assert answer["notes"] == ["Score above the threshold, but no region of 4097 pixels or more (minimum area)."]
