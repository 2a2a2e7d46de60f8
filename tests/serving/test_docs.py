"""The page of the HTTP interface."""

import re

import requests

from tests.serving.test_page import browser, page, playwright  # noqa: F401 - fixtures


def test_it_is_served_with_the_limits_of_the_other_page(server: str) -> None:
    for place, kind in (("/docs", "text/html"), ("/docs.css", "text/css"), ("/docs.js", "text/javascript")):
        answer = requests.get(f"{server}{place}", timeout=30)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r"https?://", answer.text)


def test_it_shows_every_request_and_every_field(page: object, server: str) -> None:  # noqa: F811
    described = requests.get(f"{server}/openapi.json", timeout=30).json()
    page.goto(f"{server}/docs")  # type: ignore[attr-defined]
    for path in described["paths"]:
        playwright.expect(page.locator("summary code", has_text=re.compile(f"^{re.escape(path)}$"))).to_have_count(1)  # type: ignore[attr-defined]
    for name, schema in described["components"]["schemas"].items():
        shown = page.locator(f"#{name}")  # type: ignore[attr-defined]
        for field in schema["properties"]:
            assert field in shown.text_content()
    page.locator("summary", has_text="/v1/inspect").click()  # type: ignore[attr-defined]
    page.get_by_role("link", name="InspectAnswer").first.click()  # type: ignore[attr-defined]
    playwright.expect(page.locator("#InspectAnswer td", has_text="heatmap_png")).to_be_visible()  # type: ignore[attr-defined]
