"""Running trainings: the slots, the backends that run jobs, the process of a training, its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypevo.problem.settings import ConfirmSettings, EvolveSettings, Placed
    from hypevo.trainings.backend import Backend


def make_backend(
    trainer: str,
    *,
    device: str = "cpu",
    slots_per_device: int = 1,
    placed: Placed | None = None,
    out: Path | None = None,
    tell: Callable[[str], None] = print,
) -> Backend:
    """The backend that a command's settings ask for.

    Args:
        trainer: The trainer's full name; its modules are loaded once, before its processes start.
        device: What `--device` says.
        slots_per_device: Trainings at once on each device.
        placed: On which machines; None for this one.
        out: The folder that trainings are below; a cluster's machines look whether they see it.
        tell: Is told what the user should read of machines that come and go.

    Raises:
        InputError: there is no such device, or no such cluster.
    """
    if placed is not None and placed.backend == "ray":
        from hypevo.trainings.ray import RayBackend

        return RayBackend(
            trainer,
            device,
            slots_per_device=slots_per_device,
            address=placed.address,
            out=out or Path(),
            tell=tell,
        )
    from hypevo.trainings.devices import parse_devices
    from hypevo.trainings.local import LocalBackend

    return LocalBackend(
        trainer,
        parse_devices(device),
        slots_per_device=slots_per_device,
        chosen=device.strip().lower() == "auto",
    )


def backend_of(
    settings: EvolveSettings | ConfirmSettings, trainer: str, tell: Callable[[str], None]
) -> Backend:
    """The backend that a command with slots asks for.

    Args:
        settings: The command's.
        trainer: As `make_backend` takes it.
        tell: As `make_backend` takes it.

    Raises:
        InputError: as `make_backend`.
    """
    return make_backend(
        trainer,
        device=settings.device,
        slots_per_device=settings.slots_per_device,
        placed=settings,
        out=settings.out,
        tell=tell,
    )
