"""Every `hypevo` command in the documentation is understood; those marked `<!-- run -->` are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from hypevo.cli.app import COMMANDS, app
from hypevo.cli.options import PASSED, settings_of
from hypevo.problem.settings import BUILT_IN, EvolveSettings
from hypevo.protocol import InputError, full_name
from hypevo.trainings.resolve import resolve

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "trainers" / "README.md"]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:not )?run[^>]*?) -->\n)?^```(?:bash|sh|console)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
WRITTEN_FOR_PEOPLE = "…"  # «…the same…» is no option


def commands(text: str) -> list[list[str]]:
    """The words of each hypevo command in a block; comments are left out."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["hypevo"]]


def understood(words: list[str]) -> None:
    """Make the settings of a command as the command line does, and try the built-in trainer's options.

    Raises:
        InputError: An option or a value is wrong.
        click.ClickException: The same, found by click.
    """
    name, *arguments = words
    settings, _ = COMMANDS[name]
    command = typer.main.get_command(app).commands[name]
    context = command.make_context(name, arguments)
    made = settings_of(settings, context.params, context.meta[PASSED])
    trainer = getattr(made, "trainer", BUILT_IN)
    if "options" not in settings.__dataclass_fields__ or not full_name(trainer).startswith("trainers."):
        return
    theirs = {one.name: one for one in resolve(trainer).options}
    for field, value in made.options.items():
        option = "--" + field.replace("_", "-")
        if option not in theirs:
            raise InputError(f"{option} is no option of {trainer}")
        theirs[option].check(theirs[option].parse(value))
    if isinstance(made, EvolveSettings) and full_name(trainer) == BUILT_IN:
        unknown = {*made.freeze, *made.only} - GENES
        if unknown:
            raise InputError(f"no gene {unknown}")


GENES = set(re.findall(r"^(\w+): \{", (ROOT / "hypevo/problem/presets/space.yaml").read_text(), re.MULTILINE))
SHOWN = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}:{' '.join(words)[:60]}")
    for page in PAGES
    for block in BLOCK.finditer(page.read_text(encoding="utf-8"))
    for words in commands(block["text"])
    if WRITTEN_FOR_PEOPLE not in " ".join(words) and not words[0].startswith("-")
]


@pytest.mark.parametrize("words", SHOWN)
def test_a_command_of_the_pages_is_understood(words):
    understood(words)


@pytest.mark.parametrize(
    "words",
    [
        "evolve --imgsz 64",
        "evolve --freeze degree",
        "evolve --val-evry 1",
        "evolve --epochs many",
        "status --epochs 3",
    ],
)
def test_a_wrong_command_is_not(words):
    with pytest.raises((InputError, typer.Exit, SystemExit)):
        understood(words.split())


@pytest.mark.parametrize("gene", sorted(GENES))
def test_each_gene_has_its_paragraph(gene):
    assert re.search(rf"^### {gene}\n\w", (ROOT / "docs/genes.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_a_block_of_the_site_is_run_or_says_why_not():
    unmarked = [
        f"{page.name}: {block['text'][:60]}"
        for page in PAGES
        if page.parent == ROOT / "docs" and page.name != "options.md"
        for block in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if block["mark"] is None
    ]
    assert unmarked == []


@pytest.mark.slow
def test_marked_blocks_do_what_they_say(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    ran = []
    for page in PAGES:
        folder = tmp_path / page.stem
        folder.mkdir(exist_ok=True)
        for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
            for words in commands(block["text"]) if block["mark"] == "run" else ():
                done = subprocess.run(
                    [sys.executable, "-m", "hypevo", *words],
                    cwd=folder, env=environment, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
                ran.append(words[0])
    assert ran == ["check", "evolve", "status", "export"]
