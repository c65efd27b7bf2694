"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from core import Unavailable
from engines.backends.engine import Arrays


class OnnxCpu:
    """An `Engine`; float32."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load a graph.

        Args:
            path: The file; weights that it names lie beside it.
            threads: That compute one call.

        Raises:
            Unavailable: It can not be loaded.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Encoders and the event loop want the processor, too.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise Unavailable(f"The network {path} can not be loaded: {error}.") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self._about = dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """See `Engine`, as for all below."""
        return self._inputs

    @property
    def about(self) -> Mapping[str, str]:
        return self._about

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        made = self._session.run(self._outputs, dict(feeds))
        return dict(zip(self._outputs, made, strict=True))
