"""Pages from outside of docs/ on the site, and no link to what it does not show."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "results.md": ROOT / "benchmarks" / "RESULTS.md",
    "trials.md": ROOT / "benchmarks" / "TRIALS.md",
    "earlier.md": ROOT / "benchmarks" / "EARLIER.md",
    "changelog.md": ROOT / "CHANGELOG.md",
}
SHOWN = {target: name for name, source in PAGES.items() for target in (f"../{source.relative_to(ROOT)}", source.name)}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the project's other folders."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **others: Any) -> str:
    """Turn links out of docs/ into links of the site, or into plain text."""

    def changed(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if target not in SHOWN:
            return text
        return f"[{text}]({SHOWN[target]}{anchor})"

    return re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+|[A-Z]+\.md)(#[^)]*)?\)", changed, markdown)
