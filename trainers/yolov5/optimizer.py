"""Gradient descent: parameter groups, the optimizer's steps, the moving average of the weights."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .loss import LossGains, detection_loss
from .model import as_input, mixed
from .schedule import Rates, Schedule, average_decay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Detector

log = logging.getLogger(__name__)

MAX_GRADIENT = 10.0  # norm of the gradient above which it is scaled down


class Descent:
    """The state of a training between its iterations.

    Args:
        model: Trained in place.
        optimizer: Of the model's parameters, its groups from `parameter_groups`.
        schedule: Rates of every iteration.
        gains: Hyperparameters of the loss.
        precision: Of the convolutions; float16 scales the loss, so that small gradients survive, and an
            iteration that overflows is passed over.
        freeze_norm: Whether normalisation uses the model's own statistics, and leaves them as they are.
    """

    def __init__(
        self,
        model: Detector,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        gains: LossGains,
        *,
        precision: torch.dtype = torch.float32,
        freeze_norm: bool = False,
    ):
        self.model = model
        self.average = WeightAverage(model)
        self.rates = schedule.at(0)
        self._optimizer = optimizer
        self._schedule = schedule
        self._gains = gains
        self._precision = precision
        self._freeze_norm = freeze_norm
        half = precision == torch.float16
        self._scaler = torch.amp.GradScaler(model.anchors.device.type, enabled=half)
        self._statistics = BatchStatistics(model) if half else None
        self._iteration = 0
        self._last_step = -1

    def epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float, float]:
        """Train on each batch once; return the means of the box, objectness and class losses.

        In float16 they are the means over the iterations that did not overflow, NaN where every one did.
        """
        self.model.train()
        if self._freeze_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        self._optimizer.zero_grad()
        parts = torch.stack([self._iterate(images, targets) for images, targets in batches])
        if self._statistics:
            sound = parts.isfinite().all(1)
            if overflows := len(parts) - int(sound.sum()):
                log.warning("%d of %d iterations overflowed in float16, passed over", overflows, len(parts))
            parts = parts[sound]
        box, obj, cls = parts.mean(0).tolist()
        return box, obj, cls

    def _iterate(self, images: Tensor, targets: Tensor) -> Tensor:
        self.rates = self._schedule.at(self._iteration)
        set_rates(self._optimizer, self.rates)
        with mixed(images.device, self._precision):
            levels = self.model(as_input(images))
        loss, parts = detection_loss(levels, targets, self.model.anchors, self._gains)
        torch.autograd.backward(self._scaler.scale(loss))
        if self._statistics:
            self._statistics.guard()
        if self._iteration - self._last_step >= self.rates.accumulate:
            self._step()
            self._last_step = self._iteration
        self._iteration += 1
        return parts

    def _step(self) -> None:
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self.average.update()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the parameters that learn into biases, weights and norm weights; only weights decay."""
    biases: list[nn.Parameter] = []
    weights: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
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
        sgd = torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=True, fused=True)
        for group in sgd.param_groups:
            for parameter in group["params"]:  # left to the first step, a scaler that skips it leaves garbage
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    adam = torch.optim.AdamW if name == "AdamW" else torch.optim.Adam
    return adam(groups, lr=lr, betas=(momentum, 0.999), fused=True)


def set_rates(optimizer: torch.optim.Optimizer, rates: Rates) -> None:
    """Use the rates from now on; Adam's betas stay."""
    for group in optimizer.param_groups:
        group["lr"] = rates.bias_lr if group["bias"] else rates.lr
        if "momentum" in group:
            group["momentum"] = rates.momentum


class BatchStatistics:
    """Keeps a batch whose activations overflowed out of the running statistics of the batch norms.

    Such a batch spoils no weight, since the scaler skips its step; a mean of infinity would never go away again.
    """

    def __init__(self, model: Detector):
        self._running = [
            tensor
            for module in model.modules()
            if isinstance(module, nn.BatchNorm2d)
            for tensor in (module.running_mean, module.running_var)
            if tensor is not None
        ]
        self._sound = [tensor.clone() for tensor in self._running]

    def guard(self) -> None:
        """Put the last sound value where a forward pass left NaN or infinity; nothing waits for the GPU."""
        now, before = torch.cat(self._running), torch.cat(self._sound)
        kept = torch.split(
            torch.where(now.isfinite(), now, before), [len(tensor) for tensor in self._running]
        )
        torch._foreach_copy_(self._running, kept)
        torch._foreach_copy_(self._sound, kept)


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
