"""The documentation says what is there: commands, options, fields, presets, files, and nothing of any one machine."""

import ast
import importlib
import pkgutil
import re
import shlex
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import realnet.cli
from realnet.cli.app import app
from realnet.config import Config
from realnet.presets import presets

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
# Put together from pieces, so that this file itself does not hold them.
FOREIGN = [
    "/" + part
    for part in ("work/", "root/", "tmp/w/", "tmp/bash", "opt/wheels", "opt/pypi", "home/runner", "Users/runner")
] + ["py" + "pi.org", "python" + "hosted", "download." + "pytorch.org", "--index" + "-url", "--extra-index" + "-url"]


def fenced(page: Path, *languages: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in blocks if language in languages]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every whole command line, comments and continuations resolved."""
    for page in PAGES:
        for block in fenced(page, "sh", "bash", ""):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith("realnet "):
                    yield page.name, shlex.split(line, comments=True)


def mentions() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every `realnet ...` in running text."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`(realnet [^`]+)`", text):
            yield page.name, code.split()


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    for module in pkgutil.iter_modules(realnet.cli.__path__):
        importlib.import_module(f"realnet.cli.{module.name}")
    group: Any = typer.main.get_command(app)
    return group.commands


@pytest.mark.parametrize(("page", "words"), list(command_lines()), ids=lambda value: str(value)[-60:])
def test_every_command_line_is_understood(page: str, words: list[str], commands: dict[str, Any]) -> None:
    assert words[1] in commands, f"{page}: there is no command {words[1]}"
    # Parses names, types and required options, and runs nothing.
    commands[words[1]].make_context(words[1], words[2:])


def test_a_wrong_command_line_would_be_noticed(commands: dict[str, Any]) -> None:
    for wrong in (["DATA", "--output", "RUN", "--budget", "1m"], ["DATA"], ["DATA", "--output", "RUN", "--seed", "x"]):
        with pytest.raises(Exception, match=r"(?i)no such option|missing|valid integer"):
            commands["train"].make_context("train", wrong)


def test_commands_and_options_in_running_text_exist(commands: dict[str, Any]) -> None:
    found = [(page, words) for page, words in mentions() if words[1] != "COMMAND"]
    assert found
    for page, words in found:
        assert words[1] in commands, f"{page}: there is no command {words[1]}"
        options = {name for parameter in commands[words[1]].params for name in parameter.opts}
        for word in words[2:]:
            assert not word.startswith("--") or word in options, f"{page}: {words[1]} has no option {word}"


def test_options_named_alone_belong_to_some_command(commands: dict[str, Any]) -> None:
    options = {name for command in commands.values() for parameter in command.params for name in parameter.opts}
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`(--[a-z-]+)", text))
    assert {"--select", "--set"} <= named
    assert sorted(named - options) == []


def test_every_command_is_documented(commands: dict[str, Any]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in commands if f"`realnet {name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    internal = [target.partition("#") for target in targets if not target.startswith(("https://", "http://"))]
    assert [file for file, _, _ in internal if not (page.parent / file).exists()] == []
    for file, _, anchor in internal:
        if anchor:
            linked = page.parent / file if file else page
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in anchors, f"{page.name} links to #{anchor} in {linked.name}, where no heading has that name"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_import_what_exists(page: Path) -> None:
    for block in fenced(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def documented_value(text: str) -> Any:
    return float(Fraction(text)) if re.fullmatch(r"\d+/\d+", text) else yaml.safe_load(text)


def test_every_field_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \| (.+) \|$", page, re.MULTILINE)
    documented = {field: documented_value(default) for field, default, _ in rows}
    actual = leaves(Config().model_dump(mode="json"))
    assert sorted(set(actual) ^ set(documented)) == [], "fields in the code or in docs/configuration.md only"
    assert documented == actual


def test_presets_are_documented_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([\d, ]+) \| .+ \|$", readme, re.MULTILINE)
    actual = {
        name: (preset.model.backbone.name, ", ".join(map(str, preset.model.afs.dimensions)))
        for name, preset in presets.items()
    }
    assert {name: (backbone, channels) for name, backbone, channels in table} == actual
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in presets if f"\n| `{name}` | " not in configuration] == []


def test_yaml_examples_are_valid_configurations(tmp_path: Path) -> None:
    from realnet.config import override

    blocks = fenced(ROOT / "docs" / "configuration.md", "yaml")
    assert blocks
    for block in blocks:
        file = tmp_path / "example.yaml"
        file.write_text(block, encoding="utf-8")
        assert override(presets["paper"], [], file) != presets["paper"]


def test_fields_set_on_documented_command_lines_exist() -> None:
    from realnet.config import override

    settings = [words[i + 1] for _, words in command_lines() for i, word in enumerate(words) if word == "--set"]
    assert settings
    for setting in settings:
        override(presets["paper"], [setting])


def test_no_file_names_a_machine_path_or_registry() -> None:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert ROOT / "pyproject.toml" in files
    found = []
    for file in files:
        data = file.read_bytes() if file.is_file() else b""
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        found += [f"{file.relative_to(ROOT)}: {pattern}" for pattern in FOREIGN if pattern in text]
    assert found == []
