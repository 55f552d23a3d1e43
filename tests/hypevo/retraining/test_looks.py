"""The looks at a confirmation's trainings: a repeated one is no new one, and what cannot be read is not forgotten."""

from __future__ import annotations

import pytest

from hypevo.protocol import InputError
from hypevo.retraining.looks import look_number, remember_look, seeds_looked_at


def test_a_look_is_known_again_by_its_seeds_and_candidates(tmp_path):
    for seeds, keys in ((4, "ba"), (8, "ab"), (8, "a")):
        remember_look(tmp_path, seeds, keys)
    assert [look_number(tmp_path, *one) for one in ((4, "ab"), (8, "ba"), (8, "a"), (9, "a"))] == [1, 2, 3, 4]
    assert [seeds_looked_at(tmp_path, keys) for keys in ("ba", "a", "c")] == [8, 8, 0]


@pytest.mark.parametrize("spoilt", ["", "[[4, ", "7", "[4]", '{"looks": 1}', '[["a", 4]]', "[[]]"])
def test_spoilt_looks_are_refused_and_not_counted_anew(tmp_path, spoilt):
    (tmp_path / "looks.json").write_text(spoilt)
    with pytest.raises(InputError, match=r"looks.json: expected the looks .* put it back from a copy"):
        look_number(tmp_path, 4, "a")
    (tmp_path / "looks.json").write_text("[[0], [0]]")  # as it says
    remember_look(tmp_path, 4, "a")
    assert [look_number(tmp_path, seeds, "a") for seeds in (4, 5)] == [3, 4]
