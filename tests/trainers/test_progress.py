from __future__ import annotations

from trainers import progress


def test_a_log_says_now_and_then_how_far_it_is_and_nothing_of_what_is_quick(capsys, monkeypatch):
    assert list(progress.shown("ab", 2, "reading")) == ["a", "b"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(progress.shown("ab", 2000, "reading")) == ["a", "b"]
    assert capsys.readouterr().err == "reading: 1 of 2,000\nreading: 2 of 2,000\n"
