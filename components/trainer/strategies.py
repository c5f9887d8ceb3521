"""From the ``strategy`` option to a ``tf.distribute.Strategy``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.components.trainer.config import DefaultStrategy, MirroredStrategy
from penstock.errors import EnvironmentProblem

_log = logging.getLogger(__name__)


def make_strategy(options: DefaultStrategy | MirroredStrategy) -> Any:
    """Return the strategy that the options ask for.

    Raises:
        EnvironmentProblem: A device is not there.
    """
    if isinstance(options, DefaultStrategy):
        return tf.distribute.get_strategy()
    devices = _present(options.devices) if options.devices else _all_devices()
    _log.info("mirrored over %s", ", ".join(devices))
    return tf.distribute.MirroredStrategy(devices)


def _all_devices() -> list[str]:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [_short(device.name) for device in devices]


def _present(devices: Sequence[str]) -> list[str]:
    known = [_short(device.name) for device in tf.config.list_logical_devices()]
    names = [_short(device) for device in devices]
    for given, name in zip(devices, names, strict=True):
        if name not in known:
            raise EnvironmentProblem(
                f"there is no device {given!r}",
                received=f"strategy devices {', '.join(devices)}",
                expected=f"some of {', '.join(known)}",
                hint=did_you_mean(name, known) or "runtime.logical_devices.cpu makes more CPUs",
            )
    return names


def _short(device: str) -> str:
    """Return ``cpu:0`` for any of TensorFlow's spellings of it."""
    kind, _, number = device.lower().replace("/device:", "/").rpartition("/")[2].partition(":")
    return f"{kind}:{number or 0}"
