"""``python -m engines.evaluate``: the benchmark, its reports, and what they are made of."""

from __future__ import annotations

from engines.commands import main

COMMANDS = {
    "run": ("engines.evaluate.run_command", "the benchmark over a manifest or a folder of clips"),
    "manifest": ("engines.evaluate.manifest_command", "a folder of clips as a benchmark set"),
    "report": ("engines.evaluate.report.report_command", "write the report of a run again"),
    "compare": ("engines.evaluate.report.compare_command", "is run B better than run A?"),
    "judge": ("engines.evaluate.judges.command", "have multimodal models score a run's films"),
    "extract": ("engines.evaluate.extract_command", "videos to CSV files of what faces do"),
    "agree": ("engines.evaluate.agree", "how well the extractors agree with each other"),
    "live": ("engines.evaluate.live", "what a running server's own stats say"),
}

if __name__ == "__main__":
    raise SystemExit(main("engines.evaluate", __doc__, COMMANDS))
