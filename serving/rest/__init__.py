"""The REST half of the TensorFlow Serving contract: paths, JSON requests, JSON replies and the ASGI application."""
