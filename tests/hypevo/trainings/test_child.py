"""What a trial's process makes of a trainer and of its failures."""

import errno

import pytest

from hypevo.protocol import Failure
from hypevo.trainings.child import failure_of, numbers
from trainers.external.program import judged

MEMORY = (
    "CUDA out of memory. Tried to allocate 2 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "GET was unable to find an engine to execute this computation",
    "CUDA error: unable to allocate pinned memory",
    "DefaultCPUAllocator: can't allocate memory: you tried",
    "[Errno 12] Cannot allocate memory",
    "std::bad_alloc",
    "hipErrorOutOfMemory",
)
DEVICE = (
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: unspecified launch failure",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: all CUDA-capable devices are busy or unavailable",
    "CUDA-capable device(s) is/are busy or unavailable",
    "No CUDA GPUs are available",
    "CUDA unknown error - this may be due to an incorrectly set up environment",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
)


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (MemoryError("x"), Failure.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), Failure.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Failure.OUT_OF_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), Failure.OUT_OF_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling"), Failure.OUT_OF_MEMORY),
        (RuntimeError("GET was unable to find an engine to execute this computation"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: unable to allocate pinned memory"), Failure.OUT_OF_MEMORY),
        (RuntimeError("HIP out of memory. Tried to allocate 2 GiB"), Failure.OUT_OF_MEMORY),
        (RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"), Failure.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Failure.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), Failure.DEVICE_FAILED),
        (RuntimeError("CUDA error: unspecified launch failure"), Failure.DEVICE_FAILED),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), Failure.DEVICE_FAILED),
        (RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"), Failure.DEVICE_FAILED),
        (RuntimeError("No CUDA GPUs are available"), Failure.DEVICE_FAILED),
        (RuntimeError("CUDA error: device-side assert triggered"), Failure.CRASHED),
        (FloatingPointError("loss is nan"), Failure.DIVERGED),
        (OSError(errno.ENOSPC, "No space left on device"), Failure.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Failure.DISK_FULL),
        (RuntimeError("write failed: No space left on device"), Failure.DISK_FULL),
        (OSError(errno.EACCES, "Permission denied"), Failure.CRASHED),
        (ValueError("shapes"), Failure.CRASHED),
    ],
)
def test_failures_are_told_apart(error, failure):
    kind, reason = failure_of(error)
    assert kind is failure
    assert type(error).__name__ in reason


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        *((words, Failure.OUT_OF_MEMORY) for words in MEMORY),
        *((words, Failure.DEVICE_FAILED) for words in DEVICE),
        ("No space left on device", Failure.DISK_FULL),
        ("CUDA error: device-side assert triggered", Failure.CRASHED),
    ],
)
def test_a_program_and_a_training_in_python_are_judged_alike(words, failure):
    assert failure_of(RuntimeError(words))[0] is failure
    line = f"RuntimeError: {words}"
    assert judged(["python", "train.py"], 1, ["Traceback", line]).failure == failure
    assert failure_of(judged(["python", "train.py"], 1, ["Traceback", line]))[0] is failure


def test_the_cause_of_an_error_counts():
    error = ValueError("the epoch failed")
    error.__cause__ = OutOfMemoryError("CUDA out of memory")
    assert failure_of(error) == (Failure.OUT_OF_MEMORY, "OutOfMemoryError: CUDA out of memory")


def test_a_crash_names_its_line():
    with pytest.raises(TypeError) as error:
        numbers({"a": None}, "m:train returned")
    assert "child.py:" in failure_of(error.value)[1]


def test_a_reason_is_one_line_of_bounded_length():
    assert len(failure_of(FloatingPointError("x" * 9999 + "\nsecond line"))[1]) == 500
