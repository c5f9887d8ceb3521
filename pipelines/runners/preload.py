"""What every step needs, imported once: the workers fork from a process that holds this module.

Not ``tfx.v1``: it imports google-cloud-aiplatform as well, a third of its import time, and nothing here uses that.
"""

import tensorflow as tf
import tensorflow_model_analysis as tfma
import tfx.components
from tfx.dsl.compiler import compiler
from tfx.orchestration.portable import launcher

import penstock.pipelines.runners.jobs

__all__ = ["compiler", "launcher", "penstock", "tf", "tfma", "tfx"]
