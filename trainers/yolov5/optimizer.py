"""The optimizer, its parameter groups, and the moving average of the weights it makes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .schedule import Rates, average_decay

if TYPE_CHECKING:
    from .model import Detector


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters into biases, weights and norm weights; only weights decay."""
    biases: list[nn.Parameter] = []
    weights: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                biases.append(parameter)
            else:
                (norms if isinstance(module, nn.BatchNorm2d) else weights).append(parameter)
    return [
        {"params": biases, "weight_decay": 0.0, "bias": True},
        {"params": weights, "weight_decay": weight_decay, "bias": False},
        {"params": norms, "weight_decay": 0.0, "bias": False},
    ]


def make_optimizer(
    name: str, model: nn.Module, *, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build SGD with Nesterov momentum, Adam or AdamW (momentum is their beta1), in its fused form."""
    groups = parameter_groups(model, weight_decay)
    if name == "SGD":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=True, fused=True)
    adam = torch.optim.AdamW if name == "AdamW" else torch.optim.Adam
    return adam(groups, lr=lr, betas=(momentum, 0.999), fused=True)


def set_rates(optimizer: torch.optim.Optimizer, rates: Rates) -> None:
    """Use the rates from now on; Adam's betas stay."""
    for group in optimizer.param_groups:
        group["lr"] = rates.bias_lr if group["bias"] else rates.lr
        if "momentum" in group:
            group["momentum"] = rates.momentum


class WeightAverage:
    """Exponential moving average of a detector's floating-point tensors, batch statistics included."""

    def __init__(self, model: Detector):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.updates = 0
        self._current = _floats(model)
        self._average = _floats(self.model)

    def update(self) -> None:
        """Move the average towards the weights; call it after each optimizer step."""
        self.updates += 1
        torch._foreach_lerp_(self._average, self._current, 1 - average_decay(self.updates))


def _floats(model: nn.Module) -> list[Tensor]:
    return [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
