"""Sets TensorFlow up, which is possible only before it touches a device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from penstock.components.trainer.options import RuntimeOptions
from penstock.errors import EnvironmentProblem

_log = logging.getLogger(__name__)


def configure(options: RuntimeOptions) -> None:
    """Apply the runtime options to this process.

    Raises:
        EnvironmentProblem: TensorFlow was started before with other settings.
    """
    tf.config.set_soft_device_placement(options.soft_placement)
    tf.debugging.set_log_device_placement(options.log_device_placement)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    _threads(options.inter_op_threads, tf.config.threading, "inter_op_parallelism_threads", "inter_op_threads")
    _threads(options.intra_op_threads, tf.config.threading, "intra_op_parallelism_threads", "intra_op_threads")
    _logical_cpus(options.logical_devices.cpu)
    _gpus(options)


def _threads(wanted: int, module: Any, name: str, option: str) -> None:
    if wanted == 0:
        return
    present = getattr(module, f"get_{name}")()
    _before_start(
        lambda: getattr(module, f"set_{name}")(wanted),
        already=present == wanted,
        received=f"a process in which TensorFlow runs with {present or 'its own number of'} threads",
        expected=f"runtime.{option}: {wanted}",
    )


def _logical_cpus(wanted: int) -> None:
    if wanted == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    present = len(tf.config.get_logical_device_configuration(cpu) or [None])
    _before_start(
        lambda: tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * wanted),
        already=present == wanted,
        received=f"a process in which TensorFlow runs with {present} logical CPU(s)",
        expected=f"{wanted} logical CPUs",
    )
    _log.info("logical CPUs: %d", wanted)


def _gpus(options: RuntimeOptions) -> None:
    memory, each = options.gpu_memory, options.logical_devices.gpu
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and (memory.growth or memory.limit or each > 1):
        _log.warning("runtime.gpu_memory and runtime.logical_devices.gpu have no effect: TensorFlow sees no GPU")
    for gpu in gpus:
        expected = "the settings of runtime.gpu_memory and runtime.logical_devices.gpu"
        if memory.growth:
            _before_start(
                lambda gpu=gpu: tf.config.experimental.set_memory_growth(device=gpu, enable=True),  # type: ignore[misc]
                already=False,
                received="a process in which TensorFlow runs already",
                expected=expected,
            )
        elif memory.limit or each > 1:
            parts = [tf.config.LogicalDeviceConfiguration(memory_limit=memory.limit)] * each
            _before_start(
                lambda gpu=gpu, parts=parts: tf.config.set_logical_device_configuration(gpu, parts),  # type: ignore[misc]
                already=False,
                received="a process in which TensorFlow runs already",
                expected=expected,
            )


def _before_start(apply: Callable[[], None], *, already: bool, received: str, expected: str) -> None:
    """Apply a setting that TensorFlow takes only before it starts.

    Raises:
        EnvironmentProblem: It runs already, with another setting.
    """
    try:
        apply()
    except RuntimeError as error:
        if already:
            return
        raise EnvironmentProblem(
            "devices, memory and threads must be set before TensorFlow starts",
            received=received,
            expected=expected,
            hint="run the step in a process of its own, or create no tensor when a module is imported",
        ) from error
