"""What every step needs, imported once: the workers fork from a process that holds this module.

Not ``tfx.v1``: it imports google-cloud-aiplatform as well, a third of its import time, and nothing here uses that.
"""

import gc
import os

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_wanted = os.environ.get(_LEGACY_KERAS)

import tensorflow as tf  # noqa: E402

# tf.keras is chosen at its first use. TensorFlow Transform sets the switch for Keras 2 when it is imported, for this
# process and all that it starts, so the choice is made before and the switch put back after.
KERAS_MODEL = tf.keras.Model

import tensorflow_model_analysis as tfma  # noqa: E402
import tfx.components  # noqa: E402
from tfx.dsl.compiler import compiler  # noqa: E402
from tfx.orchestration.local import runner_utils  # noqa: E402

import penstock.pipelines.build  # noqa: E402
import penstock.pipelines.runners.handle  # noqa: E402
import penstock.pipelines.runners.jobs  # noqa: E402
import penstock.pipelines.runners.launch  # noqa: E402

if _wanted is None:
    os.environ.pop(_LEGACY_KERAS, None)

# Out of the collector's sight: a collection in a worker would touch, and so copy, every page that it shares with this
# process, a gigabyte of modules that never become garbage.
gc.collect()
gc.freeze()

__all__ = ["compiler", "penstock", "runner_utils", "tf", "tfma", "tfx"]
