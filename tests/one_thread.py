"""Matrix libraries compute in one thread each, here and in processes that tests start.

Their idle threads spin: that costs tests that compute in a process a core another core, and those
that run in real time their time. To be imported before anything that loads such a library.
"""

from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
