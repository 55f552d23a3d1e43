"""confirm.png: what its axes show."""

import numpy as np
import pytest

from hypevo.results.pictures.pairs import confirm_figure


def verdict(candidates, seeds, **more):
    scores = {"default": {str(seed): 0.2 + seed / 1000 for seed in range(seeds)}}
    said = []
    for index in range(candidates):
        name = f"trial {index}"
        scores[name] = {str(seed): 0.21 + seed / 900 for seed in range(seeds)}
        said.append(
            {"candidate": name, "verdict": "better", "gain": 0.01, "half_width": 0.004, "failures": 0}
        )
    known = {"study": "s", "data": "d.yaml", "split": "test", "epochs": 3, "seeds": seeds, "first_seed": 0}
    return {**known, "untouched": None, "verdicts": said, "scores": scores, **more}


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


@pytest.mark.parametrize(("candidates", "seeds"), [(1, 3), (5, 50)])
def test_every_seed_is_a_line_from_the_default_to_the_candidate(candidates, seeds):
    upper, lower = confirm_figure(verdict(candidates, seeds)).axes
    assert len(lines(upper, "pair")) == candidates * seeds
    assert lines(upper, "pair")[0].get_ydata() == pytest.approx([0.2, 0.21])
    assert len(lines(upper, "mean")) == 2 * candidates
    assert [len(dots.get_offsets()) for dots in lower.collections if dots.get_label() == "difference"] == (
        [seeds] * candidates
    )
    (bar,) = lower.containers[0].lines[2]
    assert bar.get_segments()[0][:, 1] == pytest.approx([0.006, 0.014])
    assert [tick.get_text() for tick in lower.get_xticklabels()] == [
        f"trial {index}\nbetter" for index in range(candidates)
    ]


def test_the_verdict_is_the_title_and_the_untouched_weights_are_a_line():
    figure = confirm_figure(verdict(1, 3, untouched=0.257))
    (line,) = lines(figure.axes[0], "untouched")
    assert line.get_ydata()[0] == 0.257
    said = "\n".join(text.get_text() for text in figure.texts)
    assert said.startswith("s · trial 0: better than the default")
    assert "data d.yaml, split test, epochs 3, 3 fresh seeds from 0 on" in said.replace("\n", " ")
    assert "untouched 0.257" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_seeds_without_both_results_are_no_pairs_and_are_counted():
    found = verdict(1, 4)
    found["scores"]["trial 0"] |= {"0": None, "1": None}
    found["verdicts"][0] |= {
        "failures": 2,
        "gain": None,
        "half_width": None,
        "verdict": "not better: it failed",
    }
    upper, lower = confirm_figure(found).axes
    assert len(lines(upper, "pair")) == 2
    assert not lower.containers
    assert "failed on 2 seeds" in lower.get_xticklabels()[0].get_text()


def test_a_candidate_that_never_had_a_result_is_named():
    found = verdict(1, 2, scores={"default": {"0": 0.2, "1": 0.3}, "trial 0": {"0": None, "1": None}})
    assert np.size(confirm_figure(found).axes[0].collections) == 0


def test_a_verdict_of_an_older_version_says_how_to_get_the_picture():
    with pytest.raises(ValueError, match="confirm again"):
        confirm_figure(verdict(1, 2, scores=None))


def test_the_ranks_of_four_or_more_are_drawn_beside_it():
    found = verdict(4, 3, agreement={"spearman": 0.8, "candidates": 4, "chance": 0.17})
    for one, fitness in zip(
        found["verdicts"], (0.3, 0.31, 0.32, None), strict=True
    ):  # a recommended one has none
        one["search_fitness"] = fitness
    *_, ranks = confirm_figure(found).axes
    assert [line.get_xdata()[0] for line in lines(ranks, "rank")] == [0.3, 0.31, 0.32]
    assert "Spearman 0.80" in ranks.get_title(loc="left")


@pytest.mark.parametrize("scale", [1.0, 0.01, 0.001])
@pytest.mark.parametrize("candidates", [1, 6])
def test_the_names_of_the_axes_are_in_the_picture_whatever_the_digits(candidates, scale):
    found = verdict(candidates, 24)
    found["scores"] = {
        name: {
            seed: 2.5 * scale * (0.003 * int(seed) - 0.01 if name != "default" else 0) + 0.2 * scale
            for seed in by_seed
        }
        for name, by_seed in found["scores"].items()
    }
    figure = confirm_figure(found)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        assert axes.yaxis.label.get_window_extent().x0 > 0
