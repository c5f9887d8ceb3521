"""Answers to inference requests: TF Serving's messages in, arrays through a loaded version, messages out."""
