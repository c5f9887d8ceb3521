"""SavedModels for Beam's ``RunInference``: Beam's own TensorFlow handlers know only what Keras 2 has saved."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from penstock.components.batch_inference.beam.row_scorer import Failed, RowScorer
from penstock.components.batch_inference.features.example_spec import example_features
from penstock.components.batch_inference.pinned import MODEL_FILE, described, pin
from penstock.components.batch_inference.places import Place, place_of
from penstock.components.batch_inference.score_block import Nan
from penstock.components.batch_inference.scoring.scorer import SavedModelSpec
from penstock.components.batch_inference.versions import newest_in
from penstock.errors import ArtifactError, ConfigError

NAMESPACE = "penstock.batch_inference"
"""Of the metrics."""
_LOG = logging.getLogger(__name__)


class Version:
    """A SavedModel in a worker.

    Args:
        path: Its folder.
        signature: The signature to ask.
        outputs: The outputs to compute; all when empty.
        nan: What becomes of rows with a NaN.

    Attributes:
        path: As above.
        rows: Scores with it.
    """

    def __init__(self, path: Place, signature: str, outputs: tuple[str, ...], nan: Nan) -> None:
        self.path = path
        model = pin(path)
        scorer = SavedModelSpec(model, signature, outputs).open()
        with described(path) as folder:
            self.rows = RowScorer(scorer, example_features(folder), nan)
        # Beam just lets go of a model: its memory is TensorFlow's, and at the interpreter's end nobody could free it.
        weakref.finalize(self, scorer.close)


class LoadedModel:
    """The model of a worker: one version, or, where it follows a base path, the newest that can be loaded.

    Args:
        find: Returns the folder of the version that should answer.
        load: Loads a version.
        refresh: Seconds between two looks for a newer version; None: none.
    """

    def __init__(self, find: Callable[[], Place], load: Callable[[Place], Version], refresh: float | None) -> None:
        self._find = find
        self._load = load
        self._refresh = refresh
        self._changing = threading.Lock()
        self._tried = find()
        self._version = load(self._tried)
        self._looked = time.monotonic()

    def current(self) -> Version:
        """Return the version that answers the next batch."""
        # One thread looks; the others go on with what they have.
        if self._refresh is not None and self._changing.acquire(blocking=False):
            try:
                if time.monotonic() - self._looked >= self._refresh:
                    self._look()
                    self._looked = time.monotonic()
            finally:
                self._changing.release()
        return self._version

    def _look(self) -> None:
        try:
            found = self._find()
            if found != self._tried:
                self._tried = found
                self._version = self._load(found)
                _LOG.info("%s answers from now on", found)
        except ArtifactError as error:
            _LOG.error("%s stays, the new version cannot be loaded: %s", self._version.path, error)


class SavedModelHandler(ModelHandler[Any, PredictionResult, LoadedModel]):
    """Scores elements with a SavedModel: ``rows | RunInference(SavedModelHandler("models/digits"))``.

    An element is a serialized tf.Example (bytes), feature name → value, or, for a signature with one input, its value.
    Wrap the handler into Beam's ``KeyedModelHandler`` for elements with a key. What comes out is a
    ``PredictionResult``: the element; output name → value, or :class:`Failed` for a row that has no prediction; and
    the folder of the model that gave it. A bad row costs itself only, so ``with_exception_handling``, which would send
    its whole batch away, is not needed.

    With ``refresh``, each worker looks for newer versions in the base path by itself, with any runner; one that cannot
    be loaded is logged, and the one before stays. Where the runner has side inputs that change (Dataflow, Flink),
    Beam's own way works as well: ``RunInference(handler, watch_model_pattern="models/digits/*/saved_model.pb")``.

    Metrics, in the namespace ``penstock.batch_inference``: counters ``rows`` and ``errors``, and those of RunInference.

    Args:
        model: Folder or URL of a SavedModel, or of a base path, whose newest version is loaded.
        signature: The signature to ask.
        outputs: The outputs to compute; all when empty.
        nan: What becomes of rows with a NaN: ``error`` or ``keep``.
        refresh: Seconds between two looks for a newer version in the base path; None: the model stays.
        **batching: Limits of a batch, as every handler has them: ``min_batch_size`` and ``max_batch_size`` in rows,
            ``max_batch_duration_secs`` that a row of a stream waits for others.
    """

    def __init__(
        self,
        model: str,
        *,
        signature: str = "serving_default",
        outputs: Sequence[str] = (),
        nan: Nan = "error",
        refresh: float | None = None,
        **batching: Any,
    ) -> None:
        super().__init__(**batching)
        self._model = model
        self._signature = signature
        self._outputs = tuple(outputs)
        self._nan: Nan = nan
        self._refresh = refresh

    def load_model(self) -> LoadedModel:
        """Load the model.

        Raises:
            ArtifactError: It cannot be loaded, or has no such signature or output.
        """
        # Not the handler's own methods: it travels, and another update_model_path must not reach a loaded model.
        model, options = place_of(self._model), (self._signature, self._outputs, self._nan)
        return LoadedModel(lambda: newest_in(model), lambda path: Version(path, *options), self._refresh)

    def run_inference(
        self, batch: Sequence[Any], model: LoadedModel, _inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Return a result for each element, in order.

        Raises:
            ServingError: The model cannot answer about any row.
        """
        version = model.current()
        answers = version.rows.score(batch)
        Metrics.counter(NAMESPACE, "rows").inc(len(answers))
        Metrics.counter(NAMESPACE, "errors").inc(sum(isinstance(answer, Failed) for answer in answers))
        return [PredictionResult(row, answer, str(version.path)) for row, answer in zip(batch, answers, strict=True)]

    def update_model_path(self, model_path: str | None = None) -> None:
        """Take another model at the next load; Beam calls it with what a side input says."""
        if model_path:
            self._model = model_path.removesuffix(f"/{MODEL_FILE}")

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        """Return the size of a batch of bytes; of other rows their number, as to measure them would cost too much."""
        return sum(len(row) if isinstance(row, bytes) else 1 for row in batch)

    def get_metrics_namespace(self) -> str:
        """Return the namespace of RunInference's own metrics."""
        return NAMESPACE

    def validate_inference_args(self, inference_args: Mapping[str, Any] | None) -> None:
        """Refuse arguments: a signature takes none.

        Raises:
            ConfigError: There are some.
        """
        if inference_args:
            raise ConfigError(
                "a SavedModel takes no inference_args",
                received=", ".join(inference_args),
                expected="all inputs of the signature in each element",
            )
