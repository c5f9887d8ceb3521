from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "spelling", ["cpu:0", "/cpu:0", "CPU:0", "/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:0", "cpu"]
)
def test_a_device_by_any_of_tensorflows_names(spelling: str) -> None:
    from penstock.components.trainer.strategies import make_strategy
    from penstock.components.trainer.strategy_options import OneDeviceStrategy

    strategy = make_strategy(OneDeviceStrategy(name="one_device", device=spelling))
    assert [device.endswith("/device:CPU:0") for device in strategy.extended.worker_devices] == [True]
