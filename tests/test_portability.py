"""What would fail on Windows or macOS, as far as Linux can tell: neither is at hand.

The source is searched for what those systems do not have, commands run with it taken away, and worker processes
start the way they do there.
"""

import ast
import multiprocessing
import pickle
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from realnet.inspection.cameras import camera_name
from realnet.training.batches import AnomalySamples
from tests.cli.conftest import in_process  # noqa: F401 - a fixture
from tests.training.test_batches import assert_same, real_batches
from tests.training.tiny import flags

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "realnet").rglob("*.py"))
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "readline"}
# Of os, signal and socket, what Python's documentation gives Unix alone.
MISSING = {
    module: set(names.split())
    for module, names in {
        "os": """
            chown chroot ctermid fchdir fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid
            getpgrp getpriority getresgid getresuid getsid getuid kill killpg lchown lockf major makedev minor mkfifo
            mknod nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn pread pwrite readv
            register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile setgid setpgid setpriority setsid
            setuid sysconf sysconf_names tcgetpgrp uname wait wait3 wait4 writev O_CLOEXEC O_DIRECTORY O_NOFOLLOW
            O_NONBLOCK O_SYNC""",
        "signal": """
            SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm pause
            pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait""",
        "socket": "AF_UNIX SO_REUSEPORT socketpair",
    }.items()
}
# Files of Linux that are looked at, and need not be there.
LOOKED_AT = {"/proc/cpuinfo", "/proc/self/status"}


class Finder(ast.NodeVisitor):
    """Collects what is not on every system and is not asked for first."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self.guarded = 0

    def note(self, node: ast.AST, what: str) -> None:
        if not self.guarded:
            self.found.append((getattr(node, "lineno", 0), what))

    def visit_guarded(self, node: ast.AST) -> None:
        self.guarded += 1
        self.generic_visit(node)
        self.guarded -= 1

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        asks = re.search(r"hasattr\(|sys\.platform|os\.name", ast.unparse(node.test))
        (self.visit_guarded if asks else self.generic_visit)(node)

    visit_IfExp = visit_If

    def visit_Try(self, node: ast.Try) -> None:
        caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
        (self.visit_guarded if re.search("ImportError|AttributeError", caught) else self.generic_visit)(node)

    def visit_Import(self, node: ast.Import) -> None:
        for name in {alias.name.partition(".")[0] for alias in node.names} & MODULES:
            self.note(node, f"import {name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = str(node.module)
        if not node.level and module.partition(".")[0] in MODULES:
            self.note(node, f"from {module}")
        for alias in node.names:
            if alias.name in MISSING.get(module, ()):
                self.note(node, f"{module}.{alias.name}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.attr in MISSING.get(node.value.id, ()):
            self.note(node, f"{node.value.id}.{node.attr}")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        places = r"/(tmp|proc|dev|var|etc|sys|usr|home|opt)(/|$)"
        if isinstance(node.value, str) and re.match(places, node.value) and node.value not in LOOKED_AT:
            self.note(node, node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div):
            pieces = node.right.values if isinstance(node.right, ast.JoinedStr) else [node.right]
            name = "".join(str(piece.value) if isinstance(piece, ast.Constant) else "x" for piece in pieces)
            if re.search(r'[<>:"|?*\\]|[. ]$', name):
                self.note(node, f"a file called {name}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = {keyword.arg for keyword in node.keywords}
        for word in words & {"preexec_fn", "start_new_session", "pass_fds", "process_group"}:
            self.note(node, f"{name}({word}=)")
        if name in ("get_context", "set_start_method") and "spawn" not in ast.unparse(node):
            self.note(node, ast.unparse(node))
        if name == "add_signal_handler":
            self.note(node, name)
        self.generic_visit(node)


def not_everywhere(code: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(code))
    return [f"{line}: {what}" for line, what in finder.found]


def test_nothing_that_only_posix_has_is_used_unasked() -> None:
    found = {str(file.relative_to(ROOT)): not_everywhere(file.read_text(encoding="utf-8")) for file in SOURCES}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "from resource import getrusage",
        "from os import fork",
        "import os\nos.getuid()",
        "import signal\nif True:\n    signal.signal(signal.SIGUSR1, print)",
        "import os\ntry:\n    os.sched_getaffinity(0)\nexcept OSError:\n    pass",
        'open("/tmp/lock")',
        'name = folder / f"{time}:00.png"',
        'name = folder / "what?"',
        "subprocess.run(command, preexec_fn=print)",
        'multiprocessing.get_context("fork")',
    ],
)
def test_what_only_posix_has_would_be_noticed(code: str) -> None:
    assert not_everywhere(code)


@pytest.mark.parametrize(
    "code",
    [
        'import os\ncores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1',
        "try:\n    import resource\nexcept ImportError:\n    resource = None",
        'share = part / "whole.png"',
    ],
)
def test_what_is_asked_for_first_passes(code: str) -> None:
    assert not_everywhere(code) == []


def without_encoding(code: str) -> Iterator[int]:
    """Lines on which text is read or written in the system's own encoding, which on Windows is not UTF-8."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or any(keyword.arg in ("encoding", None) for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_method = isinstance(node.func, ast.Attribute)
        if is_method and name in ("read_text", "write_text") and "distribution(" not in ast.unparse(node):
            yield node.lineno
        if name == "open" and not re.search(
            r"['\"][rwax]\+?b|Image|webbrowser|tarfile|os\.open|opener", ast.unparse(node)
        ):
            yield node.lineno


def test_text_has_an_encoding() -> None:
    found = {str(file.relative_to(ROOT)): list(without_encoding(file.read_text("utf-8"))) for file in SOURCES}
    assert {file: lines for file, lines in found.items() if lines} == {}


class Lacking:
    """A module without the names that Windows does not have."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name in MISSING[self._module.__name__]:
            raise AttributeError(f"{self._module.__name__}.{name} is not there on Windows")
        return getattr(self._module, name)


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own modules find no more than on Windows; libraries, which have a part for each system, find all."""
    for name, module in list(sys.modules.items()):
        for lacking in MISSING if name.partition(".")[0] == "realnet" else ():
            if isinstance(getattr(module, lacking, None), ModuleType):
                monkeypatch.setattr(module, lacking, Lacking(getattr(module, lacking)))


def test_commands_need_nothing_of_posix(
    as_on_windows: None,
    in_process: Callable[..., tuple[int, str]],  # noqa: F811
    trained: Path,
    product: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, data = Path(shutil.copytree(trained, tmp_path / "run")), product / "widget" / "test"
    for words in (
        ["train", product, "--output", tmp_path / "new", *flags()],
        ["inspect", run, data, "--output", tmp_path / "out", "--masks", "--history", tmp_path / "line.sqlite"],
        ["evaluate", run, product],
        ["calibrate", run, data / "good", "--false-alarms", "50%", "--force"],
        ["history", tmp_path / "line.sqlite"],
        ["synthesize", product, "--count", "2", "--output", tmp_path / "pairs"],
        ["info", run],
    ):
        status, said = in_process(*words)
        assert status == 0, said
    assert list(portable(tmp_path)) == []
    monkeypatch.setitem(sys.modules, "resource", None)
    assert " cores" in in_process("doctor", run)[1]


def portable(folder: Path) -> Iterator[Path]:
    """Files and folders that Windows could not hold."""
    reserved = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
    for path in folder.rglob("*"):
        if re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', path.name) or reserved.match(path.name):
            yield path


def test_files_that_windows_cannot_hold_would_be_noticed(tmp_path: Path) -> None:
    for name in ("12:30.png", "aux.txt", "what?", "dot."):
        (tmp_path / name).touch()
    (tmp_path / "auxiliary.png").touch()
    assert len(list(portable(tmp_path))) == 4


def test_pictures_of_cameras_have_names_for_every_disk() -> None:
    assert camera_name("rtsp://user:word@10.0.0.7:554/stream?channel=1") == "camera-10.0.0.7"
    assert camera_name("rtsp://[fe80::1]:554/") == "camera-fe80__1"


def test_what_workers_get_can_be_sent_to_them() -> None:
    """Windows and macOS start every worker anew, and send it what it works with; Linux forks it."""
    synthesizer = real_batches().synthesizer
    samples = AnomalySamples(synthesizer, 5, 3, 8)
    sent = pickle.loads(pickle.dumps(samples))
    for one, other in zip(samples[2][:2], sent[2][:2], strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_workers_that_are_spawned_make_the_same_defects() -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        spawned = list(real_batches(workers=1).starting_at(1, 3))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert_same(spawned, list(real_batches().starting_at(1, 3)))
