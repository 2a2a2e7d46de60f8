"""The documentation says what is there: commands, options, fields, presets, files, and nothing of any one machine."""

import ast
import importlib
import pkgutil
import re
import shlex
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml
from pydantic import BaseModel

import realnet.cli
from realnet.cli.app import app
from realnet.config import Config
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.diffusion_presets import diffusion_presets
from realnet.overriding import override
from realnet.presets import presets

ROOT = Path(__file__).resolve().parents[1]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
MEASURED = [
    ROOT / "benchmarks" / name for name in ("RESULTS.md", "TRIALS.md", "EARLIER.md", "RELIABILITY.md")
]  # what was run, with DATA for a folder
PAGES = [*(ROOT / name for name in TOP), *MEASURED, *sorted((ROOT / "docs").glob("*.md"))]
# Put together from pieces, so that this file itself does not hold them.
FOREIGN = [
    "/" + part
    for part in ("work/", "root/", "tmp/w/", "tmp/bash", "opt/wheels", "opt/pypi", "home/runner", "Users/runner")
] + ["py" + "pi.org", "python" + "hosted", "download." + "pytorch.org", "--index" + "-url", "--extra-index" + "-url"]


def fenced(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page, those within lists included, without their indentation."""
    blocks = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, language, text in blocks if language in languages]


def shell_lines(page: Path) -> list[str]:
    """Every command line of a page, continuations resolved."""
    blocks = fenced(page, "sh", "bash", "")
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every call of ``realnet``, comments resolved; what is piped into it is left out."""
    for page in PAGES:
        for line in shell_lines(page):
            call = line.rpartition(" | ")[2]
            if call.startswith("realnet "):
                yield page.name, shlex.split(call, comments=True)


def mentions() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every `realnet ...` in running text, and of every `sdas ...`, which is short for one."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`((?:realnet|sdas) [^-`][^`]*)`", text):
            yield page.name, code.removeprefix("realnet ").split()


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    for module in pkgutil.iter_modules(realnet.cli.__path__):
        importlib.import_module(f"realnet.cli.{module.name}")
    return flat(typer.main.get_command(app))


def flat(group: Any, prefix: str = "") -> dict[str, Any]:
    """Every command by its whole name, those of a group included: ``train``, ``sdas train``."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        found |= flat(command, f"{prefix}{name} ") if hasattr(command, "commands") else {prefix + name: command}
    return found


def split(words: list[str], commands: dict[str, Any]) -> tuple[str, list[str]]:
    """The whole name of the command that ``words`` begin with, and the rest; of an unknown one the first words."""
    for length in (1, 2):
        name = " ".join(words[:length])
        if name in commands:
            return name, words[length:]
    in_group = any(name.startswith(f"{words[0]} ") for name in commands)
    return " ".join(words[: 1 + in_group]), []


@pytest.mark.parametrize(("page", "words"), list(command_lines()), ids=lambda value: str(value)[-60:])
def test_every_command_line_is_understood(page: str, words: list[str], commands: dict[str, Any]) -> None:
    name, rest = split(words[1:], commands)
    assert name in commands, f"{page}: there is no command {name}"
    # Parses names, types and required options, and runs nothing.
    commands[name].make_context(name, rest)


def test_a_wrong_command_line_would_be_noticed(commands: dict[str, Any]) -> None:
    for wrong in (["DATA", "--output", "RUN", "--budget", "1m"], [], ["DATA", "--output", "RUN", "--seed", "x"]):
        for train in ("train", "sdas train"):
            name, rest = split([*train.split(), *wrong], commands)
            assert (name, rest) == (train, wrong)
            with pytest.raises(Exception, match=r"(?i)no such option|missing|valid integer"):
                commands[name].make_context(name, rest)
    for wrong in (["sdas"], ["sdas", "trian", "DATA"], ["sdas", "--preset", "lite"], ["trian", "DATA"]):
        assert split(wrong, commands)[0] not in commands


def test_commands_and_options_in_running_text_exist(commands: dict[str, Any]) -> None:
    found = [(page, words) for page, words in mentions() if words[0] != "COMMAND"]
    assert {"train", "sdas"} <= {words[0] for _, words in found}
    for page, words in found:
        name, rest = split(words, commands)
        assert name in commands, f"{page}: there is no command {name}"
        options = {name for parameter in commands[name].params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            assert not word.startswith("--") or word in options, f"{page}: {name} has no option {word}"


def test_options_named_alone_belong_to_some_command(commands: dict[str, Any]) -> None:
    parameters = [parameter for command in commands.values() for parameter in command.params]
    options = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`(--[a-z-]+)", text))
    assert {"--select", "--set"} <= named
    assert sorted(named - options) == []


def test_every_command_is_documented(commands: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in commands if f"| `realnet {name}` |" not in text] == []


def test_programs_beside_our_own_are_known() -> None:
    """No line of a shell block escapes: it is a call of ``realnet``, or begins with one of these."""
    others = ("python ", "make ", "find ", "curl ", "docker ", "ray ", "source ", ".venv\\", ".ci/run")
    logs = re.compile(r"\d{4}-\d\d-\d\dT")  # log lines, data sets drawn as trees
    unknown = {
        line
        for page in PAGES
        for block in fenced(page, "sh", "bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith(("realnet ", *others)) and not logs.match(line)
    }
    assert unknown == set()


def test_extras_named_in_commands_exist() -> None:
    """Those of every ``pip install``, with the distribution's own name or a clone's dot."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.compile(r'"(realnet-inspect|\.)\[([\w,]+)\]"')
    lines = [line for page in PAGES for line in shell_lines(page) if "pip install" in line]
    extras = {extra for line in lines for _, group in named.findall(line) for extra in group.split(",")}
    assert {"lite0", "serve", "demo"} <= extras <= set(project["optional-dependencies"])
    installation = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    assert [extra for extra in project["optional-dependencies"] if f"`{extra}`" not in installation] == []


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {line.split()[1] for page in PAGES for line in shell_lines(page) if line.startswith("make ")}
    assert {"demo", "test"} <= called <= targets


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


@pytest.mark.parametrize(("page", "config"), [("configuration.md", Config()), ("sdas.md", DiffusionConfig())])
def test_every_field_is_documented_with_its_default(page: str, config: BaseModel) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \| (.+) \|$", text, re.MULTILINE)
    documented = {field: documented_value(default) for field, default, _ in rows}
    assert len(documented) == len(rows), f"a field stands twice in docs/{page}"
    actual = leaves(config.model_dump(mode="json"))
    assert sorted(set(actual) ^ set(documented)) == [], f"fields in the code or in docs/{page} only"
    assert documented == actual


def test_presets_are_documented_as_they_are() -> None:
    page = (ROOT / "docs" / "research.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([\d, ]+) \| .+ \|$", page, re.MULTILINE)
    actual = {
        name: (preset.model.backbone.name, ", ".join(map(str, preset.model.afs.dimensions)))
        for name, preset in presets.items()
    }
    assert {name: (backbone, channels) for name, backbone, channels in table} == actual
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in presets if f"\n| `{name}` | " not in configuration] == []


def test_presets_of_sdas_are_documented_as_they_are() -> None:
    pytest.importorskip("diffusers")
    from realnet.diffusion.denoiser import Denoiser, parameter_count

    page = (ROOT / "docs" / "sdas.md").read_text(encoding="utf-8")
    number = r" ([\d.]+) "
    row = rf"^\| `(\w+)` \|{number}M \|{number}\|{number}\|{number}\|{number}x{number}\| [\d.]+ GiB \| .+ \|$"
    documented = {name: tuple(map(float, figures)) for name, *figures in re.findall(row, page, re.MULTILINE)}
    actual = {}
    for name, preset in diffusion_presets.items():
        with torch.device("meta"):
            parameters = parameter_count(Denoiser(preset.denoiser, torch.ones(preset.process.steps)))
        training = preset.training
        images = training.batch_size * training.accumulate
        sizes = (preset.denoiser.image_size, preset.size)
        actual[name] = (round(parameters / 1e6, 1), *sizes, preset.process.start, training.steps, images)
    assert documented == actual


def test_yaml_examples_are_valid_configurations(tmp_path: Path) -> None:
    blocks = fenced(ROOT / "docs" / "configuration.md", "yaml")
    assert blocks
    for block in blocks:
        file = tmp_path / "example.yaml"
        file.write_text(block, encoding="utf-8")
        assert override(presets["paper"], [], file) != presets["paper"]


def test_fields_set_on_documented_command_lines_exist() -> None:
    lines = [words for _, words in command_lines()]
    changed = [words for words in lines if words[1] != "sdas" and "--set" in words]
    assert changed
    for words in changed:
        (preset,) = given(words, "--preset") or ["lite"]
        override(presets[preset], given(words, "--set"))
    of_sdas = [words for words in lines if words[1] == "sdas" and "--set" in words]
    assert of_sdas
    for words in of_sdas:
        # Without --preset the machine decides between these two.
        for preset in given(words, "--preset") or ["gpu", "lite"]:
            override(diffusion_presets[preset], given(words, "--set"))


def test_presets_named_on_documented_command_lines_exist() -> None:
    lines = [words for _, words in command_lines()]
    for sdas, known in ((False, presets), (True, diffusion_presets)):
        named = {name for words in lines if (words[1] == "sdas") is sdas for name in given(words, "--preset")}
        assert named
        assert named <= set(known)


def given(words: list[str], option: str) -> list[str]:
    """The values of ``option`` on a command line."""
    return [words[i + 1] for i, word in enumerate(words) if word == option]


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
