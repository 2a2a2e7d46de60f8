"""HTML pages, each made of a template that lies beside the code that fills it."""

from typing import Any

import jinja2


def filled(package: str, template: str, **values: Any) -> str:
    """The page that ``template``, a file of ``package``, makes of ``values``; texts among them are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)
