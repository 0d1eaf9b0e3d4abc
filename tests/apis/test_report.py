"""The report: one file, nothing loaded from elsewhere, text escaped."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mamba_dense.apis import report
from mamba_dense.apis.masks import dice, fit_threshold
from mamba_dense.apis.progress import Progress


class Checker(HTMLParser):
    """Collects what a page would load, and tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.loads, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ('src', 'href')]
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass  # closed in itself

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_whole_and_self_contained():
    line = report.Line('loss <b>', [(1, 0.9), (10, 0.4)])
    image = np.zeros((3, 4, 3), np.uint8)
    sections = [
        ('A & B', report.cards([('1', '<x>')])),
        ('C', report.pictures([(image, 'c <i>')]) + report.table([('a', 1)], ('h', 'k'))),
        ('D', report.curves('t', [line], 'iteration')),
    ]
    page = report.page('<title>', 'lead', sections)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.loads and all(load.startswith('data:') for load in checker.loads)
    assert not re.search(r'<x>|<i>|A & B|url\(|@import', page)


@pytest.mark.parametrize(('low', 'high'), [(0, 1), (0, 400), (0.91, 0.94), (5, 5), (-3, 12)])
def test_ticks(low, high):
    found = report.ticks(low, high)
    assert 1 <= len(found) <= 9
    assert all(low - 1e-9 <= tick <= max(high, low + 1) + 1e-9 for tick in found)


def test_curves_need_points():
    with pytest.raises(ValueError, match='0 curves with points'):
        report.curves('t', [report.Line('a', [])], 'x')
    assert 'polyline' in report.curves('t', [report.Line('a', [(1, 2.0)])], 'x')


def test_dice():
    ones, none = np.ones((2, 2)), np.zeros((2, 2))
    half = np.array([[1, 1], [0, 0]])
    assert dice(ones, ones) == dice(none, none) == 1
    assert dice(ones, none) == 0
    assert dice(half, ones) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match='shapes must agree'):
        dice(ones, np.ones((3, 2)))


def test_threshold():
    image = np.linspace(0, 1, 100).reshape(10, 10)
    inside = np.ones((10, 10), bool)
    assert fit_threshold(image, image > 0.6, inside) == pytest.approx(0.6, abs=0.02)


def test_progress():
    stream = io.StringIO()
    progress = Progress('pictures', 2, stream)
    progress.step('a')
    progress.step('b')
    assert '2/2' in stream.getvalue()
    assert 'left' in Progress('x', 4).text(3.0)
