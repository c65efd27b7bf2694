"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import Unavailable
from engines.backends.engine import Description, Values


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
        self._session = open_session(path, threads, ["CPUExecutionProvider"])
        described = Description(self._session)
        self.inputs, self.about = described.inputs, described.about

    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        """See `Engine`."""
        names = [*outputs, *kept]
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


def open_session(path: Path, threads: int, providers: Sequence[Any]) -> Any:
    """A graph in ONNX Runtime, with as many threads of the processor.

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
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise Unavailable(f"The network {path} can not be loaded: {error}.") from error
