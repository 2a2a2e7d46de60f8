"""The package as it is installed: its name on a package index, and what installs the rest of it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

# The command and the import are called realnet; that name is another project's on PyPI.
NAME = "realnet-inspect"


def install_hint(extra: str) -> str:
    """The command that installs ``extra``, in the way this package was installed.

    From a clone that is the clone again, with the versions that its tests run with.
    """
    if _is_clone():
        return f'python -m pip install -c constraints.txt -e ".[{extra}]" in the clone'
    return f'python -m pip install "{NAME}[{extra}]"'


@cache
def _is_clone() -> bool:
    """Whether the package was installed from a folder, and not from a wheel or an index."""
    try:
        told = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:  # run out of a clone, without an installation
        return True
    return told is not None and '"dir_info"' in told
