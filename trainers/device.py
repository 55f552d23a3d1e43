"""The device of a training: found by its name, and tried out before anything depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_INSTALL = (
    "uv pip install --reinstall torch torchvision --torch-backend auto (then `uv run --no-sync …`), "
    "or pip install --force-reinstall with the --index-url that https://pytorch.org/get-started/locally/ names"
)


def torch_device(device: str) -> torch.device:
    """Turn `cpu`, a CUDA index or a torch device name into a device of this machine.

    Raises:
        ValueError: There is no such device.
    """
    import torch

    try:
        place = torch.device(f"cuda:{device}" if device.isdecimal() else device)
    except RuntimeError as error:
        raise ValueError(f"device: expected cpu or a CUDA index such as 0, got {device!r}") from error
    if place.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            raise ValueError(
                f"device: PyTorch {torch.__version__} is built for CPUs alone and can use no GPU; for one that can: "
                f"{_INSTALL}"
            )
        count = torch.cuda.device_count()
        if not count:
            raise ValueError(
                f"device: PyTorch {torch.__version__} {_built_for()} finds no GPU that it can use{_reason()}. "
                f"Where the driver is too old for it: {_INSTALL}"
            )
        if (place.index or 0) >= count:
            raise ValueError(f"device: expected one of the {count} GPUs that PyTorch sees, got {device!r}")
    elif place.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"device: PyTorch {torch.__version__} can't use Apple's GPU here; use cpu")
    return place


def probe(device: str) -> str:
    """Compute forwards and backwards on a device as a training does, and return a line that says what it is.

    Args:
        device: As a trainer gets it.

    Raises:
        ValueError: There is no such device, or it computes nonsense.
        RuntimeError: As PyTorch raises it.
    """
    import torch

    place = torch_device(device)
    result, right = _gradient(place), _gradient(torch.device("cpu"))
    if not torch.allclose(result, right, rtol=0.02):
        raise ValueError(
            f"device: {place} computes nonsense: a gradient of {result.max()} instead of {right.max()}"
        )
    build = f"PyTorch {torch.__version__} {_built_for()}"
    if place.type != "cuda":
        return f"{place}, {build}"
    free, total = (amount / 1024**3 for amount in torch.cuda.mem_get_info(place))
    name = torch.cuda.get_device_name(place)
    return f"{name}, {total:.1f} GiB of which {free:.1f} free, {build}"


def _gradient(place: torch.device) -> torch.Tensor:  # (16, 8, 3, 3)
    """Return the gradient of a convolution, computed in half precision where a training computes in it."""
    import torch
    from torch.nn.functional import conv2d

    images = torch.ones(2, 8, 32, 32, device=place)
    weight = torch.full((16, 8, 3, 3), 1 / 64, device=place, requires_grad=True)
    with torch.autocast(place.type, torch.float16, enabled=place.type == "cuda"):
        out = conv2d(images, weight, padding=1)
    (gradient,) = torch.autograd.grad(out.float().square().mean(), weight)
    return gradient.cpu()


def _reason() -> str:
    """Why PyTorch sees no GPU, in its own words, in brackets behind a space; empty where it has none."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).splitlines()[0]})"
    return ""


def _built_for() -> str:
    import torch

    if torch.version.hip is not None:
        return f"for ROCm {torch.version.hip}"
    return "for CPUs" if torch.version.cuda is None else f"for CUDA {torch.version.cuda}"
