"""The site builds strictly, without a network, and its pages ask nobody else for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = ("resume", "genes", "winner", "budget", "verdict", "own-trainer", "sampler")
LOADS = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*?\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b[^>]*?rel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*?href=["']?((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)

pytestmark = pytest.mark.skipif(find_spec("mkdocs") is None, reason="the group docs is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; every address but this machine's is unreachable."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site):
    found = {
        f"{page.relative_to(site)}: {match[0]}"
        for page in site.rglob("*.html")
        for match in LOADS.finditer(page.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_the_pattern_knows_a_page_that_does():
    assert LOADS.search('<link rel="stylesheet" href="https://fonts.googleapis.com/css">')
    assert LOADS.search("<script async src=//cdn.example/mathjax.js></script>")


def test_no_style_sheet_loads_anything_from_elsewhere(site):
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", text), sheet


@pytest.mark.parametrize("page", NAMED)
def test_a_page_is_there_and_says_more_than_its_title(site, page):
    text = re.sub(r"<[^>]+>", " ", (site / page / "index.html").read_text(encoding="utf-8"))
    assert len(text.split()) > 300


def test_the_page_of_a_readme_is_the_readme(site):
    assert "contract.py" in (site / "own-trainer" / "index.html").read_text(encoding="utf-8")
    assert "recommend" in (site / "sampler" / "index.html").read_text(encoding="utf-8")


def test_a_link_to_a_file_that_is_no_page_is_not_left_dangling(site):
    text = (site / "many-machines" / "index.html").read_text(encoding="utf-8")
    assert "deploy/compose.yaml" in text
    assert 'href="../deploy' not in text
    assert 'href="../../deploy' not in text
