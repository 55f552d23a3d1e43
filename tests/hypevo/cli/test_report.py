"""The page of `hypevo report`: in a real browser, with a stranger's texts, of studies with hardly anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from hypevo.cli.app import app
from hypevo.problem.gene import Gene
from hypevo.problem.plan import Plan
from hypevo.problem.space import Space
from hypevo.study.attributes import (
    DEFAULT,
    ENVIRONMENT,
    FAILURE,
    LINEAGE,
    ORIGIN,
    REASON,
    SECONDS,
    VERDICT,
    metric_attributes,
)
from hypevo.study.storage import PLAN, load_study

EVIL = "</td></script><script>document.title='taken'</script><img src=http://evil.invalid/x>"
SPACE = Space(
    [
        Gene("lr", 1e-4, 1e-1, log=True),
        Gene("act", 0, 1, type="categorical", choices=("relu", "tanh")),
        Gene("idle", 0.0, 1.0),
    ]
)


def made(address: str, count: int, name: str) -> optuna.Study:
    """A study in which a stranger has written whatever a stranger can write."""
    hyp = {"lr": 0.01, "act": "relu", "idle": 0.5}
    theirs = {"data": EVIL, "epochs": 3, "weights": "postgresql://me:hunter22@db/models"}
    settings = theirs if count else {}  # a trainer may have none
    study = optuna.create_study(study_name=name, storage=address, direction="maximize")
    study.set_user_attr(PLAN, Plan("their.module:train", settings, SPACE, hyp, "score", "fixed", 0).to_json())
    study.set_user_attr(VERDICT, {"sentences": [f"the winner wins {EVIL}"]})
    study.set_user_attr(ENVIRONMENT, {"hypevo.command": f"hypevo {EVIL}", "hypevo.version.torch": "2.9"})
    rng = np.random.default_rng(0)
    for number in range(count):
        params = {
            "lr": 10 ** rng.uniform(-4, -1),
            "act": "tanh" if number % 2 else "relu",
            "idle": rng.random(),
        }
        params = hyp if number == 0 else params
        failed = number == 5
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None if failed else -abs(np.log10(params["lr"]) + 2.5) + 0.01 * rng.random(),
                params=params,
                distributions=SPACE.distributions(),
                user_attrs=metric_attributes({EVIL: number})
                | {SECONDS: 9.5 + number, ORIGIN: DEFAULT if number == 0 else "search", LINEAGE: "0: lr ×1.1"}
                | ({FAILURE: "crashed", REASON: EVIL} if failed else {}),
            )
        )
    return study


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    made(f"sqlite:///{folder}/s.db", 24, EVIL)
    answer = CliRunner().invoke(
        app, ["report", "--storage", f"sqlite:///{folder}/s.db", "--out", str(folder / "page.html")]
    )
    assert answer.exit_code == 0, answer.output
    return Path(answer.stdout.strip())


def test_a_strangers_texts_are_shown_and_not_obeyed_and_passwords_are_not_shown(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<script>") == 1
    assert text.count("<img ") == text.count('<img src="data:image/png;base64,')
    assert "the winner wins &lt;/td&gt;" in text
    assert "hunter22" not in text
    assert "postgresql://***@db/models" in text


class Browser:
    """Chromium's own protocol over a pipe: no port, no library."""

    def __init__(self, process: subprocess.Popen, out: int, into: int) -> None:
        self._out, self._in = os.fdopen(out, "wb", buffering=0), os.fdopen(into, "rb")
        self._process, self._number, self._session = process, 0, ""
        self.events: list[dict] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def __call__(self, method: str, **params) -> dict:
        self._number += 1
        order = {"id": self._number, "method": method, "params": params}
        self._out.write(
            json.dumps(order | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        while (message := self._read()).get("id") != self._number:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def _read(self) -> dict:
        read = bytearray()
        while (one := self._in.read(1)) != b"\0":
            assert one, "Chromium has ended"
            read += one
        return json.loads(read)

    def until(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def evaluate(self, script: str):
        return self("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")


@contextmanager
def chromium(profile: Path):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None or os.name == "nt":
        pytest.skip("no Chromium that can be driven through a pipe here")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        f"--disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir={profile}"
    )
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" {flags} 3<&{theirs_in} 4>&{theirs_out}', program],
        pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(process, ours_out, ours_in)
        yield browser
        browser("Browser.close")
    finally:
        process.kill()
        process.wait()


def test_in_a_browser_the_table_sorts_and_nothing_is_asked_of_anybody(page, tmp_path):
    with chromium(tmp_path) as browser:
        for domain in ("Page", "Network", "Log", "Runtime"):
            browser(f"{domain}.enable")
        browser("Page.navigate", url=page.as_uri())
        browser.until("Page.loadEventFired")
        column = "[...document.querySelectorAll('#trials tbody tr')].map(row => row.cells[{}].textContent)"
        header = "document.querySelectorAll('#trials th')[{}]"

        def sorted_by(index: int) -> list[str]:
            browser.evaluate(header.format(index) + ".querySelector('button').click()")
            return browser.evaluate(column.format(index))

        assert browser.evaluate("document.title").startswith("</td></script><script>")
        assert browser.evaluate("document.scripts.length") == 1
        assert browser.evaluate("[...document.images].every(one => one.naturalWidth > 500)")
        fitness = browser.evaluate(column.format(1))
        assert fitness[-1] == ""
        assert list(map(float, fitness[:-1])) == sorted(map(float, fitness[:-1]), reverse=True)
        numbers = [str(number) for number in range(24)]
        assert sorted_by(0) == numbers[::-1]
        assert sorted_by(0) == numbers  # as numbers: 9 before 10
        assert browser.evaluate(header.format(0) + ".ariaSort") == "ascending"
        assert browser.evaluate(header.format(1) + ".ariaSort") is None
        assert sorted_by(1)[-1] == ""  # the failed one is last in either direction
        assert sorted_by(1)[-1] == ""
        assert sorted_by(2) == ["failed"] + 23 * ["finished"]
        assert browser.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    asked = [
        one["params"]["request"]["url"]
        for one in browser.events
        if one.get("method") == "Network.requestWillBeSent"
    ]
    assert {address for address in asked if not address.startswith("data:")} == {page.as_uri()}
    said = [
        one for one in browser.events if one.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
    ]
    assert said == []  # the policy had nothing to forbid either


def test_the_report_of_a_driven_study_is_beside_its_other_files(evolution, arena):
    evolution(2)
    study = load_study("mlruns/optuna.journal", "s")
    answer = CliRunner().invoke(app, ["report", "s"])
    path = arena / "runs/evolve/s/report.html"
    assert (answer.exit_code, Path(answer.stdout.strip()).resolve()) == (0, path)
    text = path.read_text(encoding="utf-8")
    environment = study.user_attrs[ENVIRONMENT]
    assert environment["hypevo.devices"] == "cpu"
    assert environment.items() <= evolution.parent.data.tags.items()
    assert environment["hypevo.version.torch"] in text
    assert "needs 12 or more finished trials" in text
    assert "hypevo confirm --study s" in text


def test_a_study_without_a_result_has_a_page_that_says_so(tmp_path):
    address = f"sqlite:///{tmp_path}/s.db"
    made(address, 0, "empty")
    answer = CliRunner().invoke(
        app, ["report", "empty", "--storage", address, "--out", str(tmp_path / "new")]
    )
    assert answer.exit_code == 0
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "No trial has a result yet." in text
    assert "evolve.png is not drawn: " in text


def test_the_report_of_a_study_that_was_only_imported_blames_no_older_version(evolution, arena):
    evolution(2)
    words = [
        "import",
        "runs/evolve/s/evolve.csv",
        "--trainer",
        "landscape:train",
        "--study",
        "theirs",
        "--device",
        "cpu",
    ]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert CliRunner().invoke(app, ["report", "theirs"]).exit_code == 0
    text = (arena / "runs/evolve/theirs/report.html").read_text(encoding="utf-8")
    assert "imported, and not driven yet" in text
    assert "older version" not in text
