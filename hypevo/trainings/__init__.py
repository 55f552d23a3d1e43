"""Running trainings: the slots, the backends that run jobs, the process of a training, its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypevo.trainings.backend import Backend


def make_backend(trainer: str, *, device: str = "cpu", slots_per_device: int = 1) -> Backend:
    """The backend that a command's settings ask for.

    Args:
        trainer: The trainer's full name; its modules are loaded once, before its processes start.
        device: What `--device` says.
        slots_per_device: Trainings at once on each device.

    Raises:
        InputError: there is no such device.
    """
    from hypevo.trainings.devices import parse_devices
    from hypevo.trainings.local import LocalBackend

    return LocalBackend(
        trainer,
        parse_devices(device),
        slots_per_device=slots_per_device,
        chosen=device.strip().lower() == "auto",
    )
