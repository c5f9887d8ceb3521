"""The page in a real browser: nothing is asked for, nothing complained of, nothing wider than a phone."""

import pytest

from penstock.metadata.choose import choose_run
from penstock.metadata.reader import Reader
from penstock.pipelines.report.collect import collect
from penstock.pipelines.report.render import render, write
from tests.pipelines.report.a_run import HOSTILE, write_run
from tests.pipelines.report.browser import CHROMIUM, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: the page is not looked at here")
_LOW_CONTRAST = """
(() => {
  const channel = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number);
    return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('h1, h2, p, td, th, a, dt, dd, .tick, .good, .bad, .quiet')].filter(one => {
    const style = getComputedStyle(one);
    const ink = light(one.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [high, low] = ink > paper ? [ink, paper] : [paper, ink];
    return (high + .05) / (low + .05) < 4.5;
  }).map(one => one.className + ' ' + one.textContent.slice(0, 20));
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder")
    history = write_run(folder / "root")
    reader = Reader(history.sqlite, history.pipeline)
    write(render(collect(reader, choose_run(reader, "latest"))), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844), (320, 568)])
def test_the_page_on_a_screen(page, chromium, width, height, dark):
    chromium.look(width, height, dark=dark)
    opened = chromium.open(page)
    assert opened.requests == [page.as_uri()]
    assert opened.complaints == []
    assert chromium.value("document.documentElement.scrollWidth <= innerWidth") is True
    assert chromium.value("document.querySelector('h1').textContent") == f"digits {HOSTILE}"
    assert chromium.value(_LOW_CONTRAST) == []
    shown = "getComputedStyle(document.querySelector('{}')).display"
    narrow = width < 640
    assert chromium.value(shown.format(".down")) == ("block" if narrow else "none")
    assert chromium.value(shown.format(".across")) == ("none" if narrow else "block")


def test_the_page_on_paper(page, chromium):
    chromium.look(718, 1000)  # The width of A4 between margins.
    chromium.ask("Emulation.setEmulatedMedia", media="print")
    chromium.open(page)
    assert chromium.value("document.documentElement.scrollWidth <= innerWidth") is True
    assert chromium.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert chromium.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_picture_can_be_taken(page, chromium, tmp_path):
    chromium.look(390, 844)
    chromium.open(page)
    chromium.picture(tmp_path / "phone.png")
    assert (tmp_path / "phone.png").read_bytes().startswith(b"\x89PNG")
