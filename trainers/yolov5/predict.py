"""A trained detector as MLflow loads and asks it: `mlflow.pyfunc.load_model(address).predict(image)`.

The checkpoint's tensors are read as everywhere here, and nothing that the file asks for is executed. MLflow is not
needed for it:

    from trainers.yolov5.predict import Predictor

    boxes = Predictor(Path("weights/last.pt"), img=640).predict(image)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..device import torch_device
from .boxes import detect, to_native
from .model import as_input
from .mosaic import PAD
from .rectangles import rectangle
from .resize import fitted, resized
from .weights import load_checkpoint, start_detector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Box = dict[str, Any]  # x1, y1, x2, y2 in pixels of the image; confidence; class; name


class Predictor:
    """A detector that finds boxes in images.

    Args:
        weights: The checkpoint.
        img: Longest side in pixels that an image is resized to, a multiple of 32: that of the training.
        confidence: Boxes below it are left out, 0 to 1.
        device: `cpu`, a CUDA index such as `0`, or any torch device name.
    """

    def __init__(
        self, weights: Path, *, img: int = 640, confidence: float = 0.25, device: str = "cpu"
    ) -> None:
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence: expected 0 to 1, got {confidence}")
        if img < 32 or img % 32:
            raise ValueError(f"img: expected a multiple of 32, got {img}")
        checkpoint = load_checkpoint(weights)
        shape = {"classes": checkpoint.classes, "anchors": checkpoint.anchors.shape[1]}
        model, _, _ = start_detector(checkpoint, size="", **shape)
        self.names = checkpoint.names
        self._model = model.fused().to(torch_device(device)).to(memory_format=torch.channels_last)
        self._img, self._confidence = img, confidence

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> list[Box] | list[list[Box]]:  # noqa: ARG002 - MLflow gives them
        """Find the boxes of an image, or of each of several.

        Args:
            data: (h, w, 3) RGB with values 0 to 255; or several, as (n, h, w, 3) or as a list of any sizes.
            params: Not used.

        Returns:
            For one image its boxes, the surest first, as plain values; for several a list of them for each.

        Raises:
            ValueError: It is no such image.
        """
        if isinstance(data, list | tuple) and all(np.ndim(image) == 3 for image in data):
            return [self._boxes(np.asarray(image)) for image in data]
        images = np.asarray(data)
        if images.ndim == 4:
            return [self._boxes(image) for image in images]
        return self._boxes(images)

    @torch.inference_mode()
    def _boxes(self, image: NDArray[Any]) -> list[Box]:
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"image: expected (height, width, 3), RGB, got {image.shape}")
        low, high = float(image.min()), float(image.max())
        fractions = image.dtype.kind == "f" and 0 < high <= 1
        if not 0 <= low <= high <= 255 or fractions:
            raise ValueError(f"image: expected values 0 to 255, got {low:g} to {high:g} as {image.dtype}")
        native = image.shape[0], image.shape[1]
        height, width = fitted(*native, self._img)
        rows, columns = rectangle(np.array([height / width]), self._img, 32)
        pad_y, pad_x = (rows - height) / 2, (columns - width) / 2
        top, left = round(pad_y - 0.1), round(pad_x - 0.1)
        frame = np.full((rows, columns, 3), PAD, np.uint8)
        frame[top : top + height, left : left + width] = resized(
            image.astype(np.uint8), height, width, "area"
        )
        batch = torch.from_numpy(frame).permute(2, 0, 1)[None].to(self._model.anchors.device)
        (found,) = detect(self._model(as_input(batch)), self._model.anchors)
        found[:, :4] = to_native(found[:, :4], native, height / native[0], (pad_x, pad_y))
        return [self._box(*row) for row in found.tolist() if row[4] >= self._confidence]

    def _box(self, x1: float, y1: float, x2: float, y2: float, confidence: float, label: float) -> Box:
        number = int(label)
        name = self.names[number] if number < len(self.names) else str(number)
        corners = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        return {**corners, "confidence": confidence, "class": number, "name": name}


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Predictor:
    """Load the model as MLflow asks for it; `load_model(…, model_config={"confidence": 0.5})` changes a value."""
    return Predictor(Path(path), **(model_config or {}))
