"""What the serving benchmark compares with: ``python -m benchmarks.serving_peer (plain FOLDER|reply) PORT``.

``plain`` is the plainest Python PredictionService: ``grpc.server`` with a pool of threads, ``tf.make_ndarray``, the
signature of ``tf.saved_model.load``, ``tf.make_tensor_proto``. ``reply`` knows no model and takes no message apart: an
event loop that answers the same bytes to every request, so what it does a second is the limit of Python's gRPC.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.serving_models import CLASSES, OUTPUT

THREADS = 16
_SERVICE = "tensorflow.serving.PredictionService"


def serve_plain(folder: str, port: int) -> None:
    """Serve the SavedModel in ``folder`` until the process is ended."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]

    class PlainService(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802  The service's name for it.
            inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            for name, value in signature(**inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    server = grpc.server(ThreadPoolExecutor(THREADS))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PlainService(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def serve_reply(port: int) -> None:
    """Answer every Predict with the same bytes until the process is ended."""
    import uvloop

    uvloop.run(_reply(port))


async def _reply(port: int) -> None:
    import grpc

    answer = _answer()

    async def predict(_request: bytes, _context: Any) -> bytes:
        return answer

    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    server = grpc.aio.server(handlers=[grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await asyncio.Event().wait()


def _answer() -> bytes:
    """Return the bytes of an answer to one row."""
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    tensor = response.outputs[OUTPUT]
    tensor.dtype = 1  # DT_FLOAT
    for size in (1, CLASSES):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend([0.1] * CLASSES)
    return bytes(response.SerializeToString())


def main(arguments: list[str]) -> None:
    """Serve what the command line says."""
    match arguments:
        case ["plain", folder, port]:
            serve_plain(folder, int(port))
        case ["reply", port]:
            serve_reply(int(port))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
