"""What each component takes and gives, as plain data: known without importing TFX.

``types`` describes a component; ``components.json`` and ``protos.json`` are generated from the installed TFX by
``python -m penstock.pipelines.catalog.generate`` and a test fails when they drift.
"""

from penstock.pipelines.catalog.types import ComponentType, Parameter, Port, ValueType, load_components, load_protos

__all__ = ["ComponentType", "Parameter", "Port", "ValueType", "load_components", "load_protos"]
