"""Self-contained pages, from templates and results."""

from typing import Any

from jinja2 import Environment, PackageLoader


def render(template: str, **values: Any) -> str:
    """The HTML of `templates/TEMPLATE.html.j2`. Every value is escaped."""
    from .pictures import png

    environment = Environment(loader=PackageLoader("rsreward_tools.pages"), autoescape=True)
    environment.filters["png"] = png
    return environment.get_template(f"{template}.html.j2").render(**values)
