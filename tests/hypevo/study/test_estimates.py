"""What the sampler's model says of a study takes one thread, whoever asks."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

from hypevo.cli.app import app
from samplers._history import History


def _threads() -> list[int]:
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


@pytest.fixture
def seen(monkeypatch):
    """The threads that BLAS may take whenever a study is read for the model, by the real model and the real study."""
    found = []
    read = History.update

    def update(self, *arguments):
        found.append(_threads())
        return read(self, *arguments)

    monkeypatch.setattr(History, "update", update)
    return found


def test_every_command_that_asks_the_model_has_it_on_one_thread(evolution, seen):
    """Threads that wait for each other on a busy machine: 22 s instead of 0.4 s for what 300 trials recommend."""
    if not _threads():
        pytest.skip("the BLAS of this numpy takes no limit")  # Apple's Accelerate
    trainer = ["--trainer", "landscape:train", "--device", "cpu"]
    with threadpool_limits(limits=2, user_api="blas"):
        evolution(14, sampler="adaptive")
        for command in (
            ["export", "--study", "s"],
            ["export", "--study", "s", "--minimal"],
            ["report", "s"],
            ["confirm", "--study", "s", "--recommended", "--seeds", "2", "--device", "cpu"],
            ["evolve", "--study", "t", "--from-study", "s", "--generations", "1", *trainer],
        ):
            seen.clear()
            run = CliRunner().invoke(app, command)
            assert run.exit_code == 0, run.output
            assert seen, f"{command} asked the model nothing"
            assert {threads for at_once in seen for threads in at_once} == {1}, command
            assert set(_threads()) == {2}, f"{command} leaves the threads as they were"
