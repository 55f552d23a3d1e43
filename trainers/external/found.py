"""What an external program has said of the data and of the network, and what that means for a search with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..findings import Finding


@dataclass(frozen=True)
class Found:
    """What was answered.

    Attributes:
        data: The data.yaml with absolute paths; empty where a folder is the data, or when they cannot be used.
        data_problem: Why the data cannot be used; empty when they can.
        downloads: Whether the data.yaml says where its images could be fetched.
        start: The weights as a file; empty when they are not here.
        network_problem: Why the network or the weights cannot be used; empty when they can, or are not here.
    """

    data: Mapping[str, Any]
    data_problem: str
    downloads: bool
    start: str
    network_problem: str

    def worth_fetching(self, weights: str) -> bool:
        """Whether something is not here that the program may be able to fetch."""
        return self.downloads or bool(weights and not self.start and not self.network_problem)

    def problem(self, weights: str) -> str:
        """Why no training can start; empty when one can."""
        if self.network_problem or self.data_problem:
            return self.network_problem or f"data: {self.data_problem}"
        return (
            f"weights: {weights} is not here and could not be fetched" if weights and not self.start else ""
        )

    def findings(self, *, weights: str, data: str, program: str, places: str = "") -> Iterator[Finding]:
        """Say what is wrong with the network and the data, or not here.

        Args:
            weights: As the user named them; empty for none.
            data: As the user named them.
            program: What a person calls the program.
            places: Where weights were looked for, if not here alone: `, here or in …`.
        """
        if self.network_problem:
            yield "error", f"{'weights' if weights else 'model'}: {self.network_problem}"
        elif weights and not self.start:
            if Path(weights).name != weights:
                yield "error", f"weights: {weights} does not exist{places}"
            else:
                yield (
                    "warning",
                    f"weights: {weights} is not here yet, and so not checked: a study would begin by having {program} "
                    "fetch it",
                )
        if self.data_problem and self.downloads:
            yield (
                "warning",
                f"data: {self.data_problem}; a study would begin by having {program} fetch what {data} names",
            )
        elif self.data_problem:
            yield "error", f"data: {self.data_problem}"


def here(name: str) -> str:
    """A path that exists here as an absolute one; other names are for the program to find."""
    path = Path(name).expanduser()
    return str(path.absolute()) if name and path.exists() else name


# Begins the questions to a program, which runs them by its own Python: an error in one line.
SAID = """
def said(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:500] or type(error).__name__
"""
