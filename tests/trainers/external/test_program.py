"""Programs that are run, asked, and judged."""

from __future__ import annotations

import sys

import pytest

from trainers.external.program import ProgramError, ask, judged, run


def test_a_question_is_answered_by_what_is_printed(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['ASKED']); print('noise', file=sys.stderr)"
    answer = ask([sys.executable, "-c", code], cwd=tmp_path, variables={"ASKED": "yes"})
    assert answer.split() == [str(tmp_path), "yes"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("import time; time.sleep(600)", "did not answer within 0.5 seconds"),
    ],
)
def test_a_question_that_fails_says_why_with_the_last_line(code, said):
    with pytest.raises(ProgramError, match=said):
        ask([sys.executable, "-c", code], patience=0.5 if "sleep" in code else 60)


@pytest.mark.parametrize("call", [ask, run])
def test_a_program_that_cannot_be_started_is_said(call, tmp_path):
    (tmp_path / "text").write_text("no program")
    for command in (str(tmp_path / "text"), str(tmp_path / "nowhere")):
        with pytest.raises(ProgramError, match="cannot be started"):
            call([command])


def test_lines_are_heard_whole_and_the_log_gets_every_byte(capfdbinary):
    code = r"""
import sys, time
for piece in (b"one\n", b"tw", b"o\rth\xffree\n", b"\x1b[1mfour\x1b[0m"):
    sys.stdout.buffer.write(piece); sys.stdout.buffer.flush(); time.sleep(0.05)
sys.stderr.write("five" * 5000)
"""
    heard = []
    run([sys.executable, "-c", code], heard=heard.append)
    assert heard[:3] == ["one", "two", "th\ufffdree"]
    assert "".join(heard[3:]) == "four" + "five" * 5000
    assert max(map(len, heard)) <= 10_000  # a line without an end is cut
    assert b"th\xffree\n\x1b[1mfour\x1b[0m" in capfdbinary.readouterr().out


@pytest.mark.parametrize(
    ("code", "tail", "failure", "said"),
    [
        (0xC0000005, [], "killed", "ended by the system with 0xc0000005"),  # an access violation on Windows
        (
            1,
            ["Error: a", "Traceback", "KeyError: 'b'", "wandb: done"],
            "crashed",
            "KeyError: 'b' (train.py ended",
        ),
        (1, ["There is not enough space on the disk"], "disk full", "not enough space"),
        (
            -6,
            ["terminate called after throwing an instance of 'std::bad_alloc'"],
            "out of memory",
            "bad_alloc",
        ),
        (2, ["train.py: error: unrecognized arguments: --x", ""], "crashed", "unrecognized arguments: --x"),
        (1, ["\x07RuntimeError: \x9bodd"], "crashed", "\\x07RuntimeError: \\x9bodd"),
    ],
)
def test_an_end_is_judged_by_code_and_last_lines(code, tail, failure, said):
    error = judged(["/usr/bin/python", "/a/train.py", "--x"], code, tail)
    assert (error.failure, said in str(error)) == (failure, True)
