"""Turns what is known of a run into one HTML page that asks nothing of the network."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penstock import durable
from penstock.components.tflite_converter.words import bytes_text
from penstock.components.trainer.progress_text import number
from penstock.pipelines.config.marks import shown_path
from penstock.pipelines.moments import duration, moment
from penstock.pipelines.report.charts import NODE_HEIGHT, NODE_WIDTH, bars
from penstock.pipelines.report.collect import Page
from penstock.pipelines.written import written
from penstock.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATE = "report.html.j2"


def render(page: Page) -> str:
    """Return the page as HTML; every text from outside is escaped."""
    template = _environment().get_template(_TEMPLATE)
    return template.render(
        page=page,
        run=page.run,
        node_width=NODE_WIDTH,
        node_height=NODE_HEIGHT,
        bars=bars,
        version=__version__,
        now=int(datetime.now().astimezone().timestamp() * 1000),
    )


def write(html: str, file: Path) -> None:
    """Publish the page in one step; a file of that name is replaced.

    Raises:
        EnvironmentProblem: It cannot be written.
    """
    with written(file, "the report"):
        durable.write_text(file, html, alone=False)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("penstock.pipelines.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": moment,
        "duration": duration,
        "number": figure,
        "count": lambda value: f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
        "percent": percent,
        "size": bytes_text,
        "breakable": breakable,
        "place": lambda path: path if "://" in path else shown_path(path),
    }
    return environment


def breakable(name: str) -> Markup:
    """Return a name, escaped, that a narrow place may break at its underscores."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def figure(value: float | None) -> str:
    """Return a number with four digits; a dash where there is none."""
    return "\N{EN DASH}" if value is None else number(value) if math.isfinite(value) else str(value)


def percent(share: float) -> str:
    """Return a share as a percentage; only nothing is 0 %."""
    shown = f"{100 * share:.1f}".removesuffix(".0")
    return "<0.1 %" if share > 0 and shown == "0" else f"{shown} %"
