"""Sets TensorFlow up, which is possible only before it touches a device."""

from __future__ import annotations

import logging

import tensorflow as tf

from penstock.components.trainer.config import RuntimeOptions
from penstock.errors import EnvironmentProblem

_log = logging.getLogger(__name__)


def configure(options: RuntimeOptions) -> None:
    """Apply the runtime options to this process.

    Raises:
        EnvironmentProblem: TensorFlow was started before with other logical devices.
    """
    wanted = options.logical_devices.cpu
    if wanted == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * wanted)
    except RuntimeError as error:
        present = len(tf.config.list_logical_devices("CPU"))
        if present == wanted:
            return
        raise EnvironmentProblem(
            "logical devices must be set before TensorFlow starts",
            received=f"a process in which TensorFlow runs with {present} logical CPU(s)",
            expected=f"{wanted} logical CPUs",
            hint="run the step in a process of its own, or create no tensor when a module is imported",
        ) from error
    _log.info("logical CPUs: %d", wanted)
