"""What `mkdocs build` does to pages: takes in two READMEs, and names files that are no pages."""

import re
from pathlib import Path

_TAKEN_IN = {"own-trainer.md": "trainers/README.md", "sampler.md": "samplers/README.md"}
_LINK = re.compile(r"\[([^\]]+)\]\(([^):#]+)(?:#[^)]*)?\)")
_ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, page: object, **_: object) -> str:
    """Return a page's text; a link to a file that is no page becomes the file's name."""
    source = getattr(getattr(page, "file", None), "src_uri", "")
    at = Path("docs") / source
    if source in _TAKEN_IN:
        at = Path(_TAKEN_IN[source])
        markdown = re.sub(r"\A---\n.*?\n---\n", "", (_ROOT / at).read_text(encoding="utf-8"), flags=re.DOTALL)

    def named(match: re.Match[str]) -> str:
        target = (_ROOT / at.parent / match[2]).resolve()
        inside = target.is_relative_to(_ROOT / "docs") and target.is_file()
        return match[0] if inside or not target.exists() else match[1]

    return _LINK.sub(named, markdown)
