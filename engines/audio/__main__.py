"""``python -m engines.audio``: make speech data, train, export and judge the audio encoder."""

from __future__ import annotations

from engines.commands import main

COMMANDS = {
    "synthesise": (
        "engines.audio.sources.synthesise",
        "speech of synthetic voices, with phone times",
    ),
    "align": ("engines.audio.sources.align", "phone times for recordings of real speech"),
    "bank": ("engines.audio.bank", "speech to what training reads"),
    "train": ("engines.audio.train", "train the encoder"),
    "export": ("engines.audio.export", "a checkpoint to the files that ship"),
    "evaluate": ("engines.audio.evidence.evaluate", "a table of how well the mouth follows speech"),
    "speed": ("engines.audio.evidence.speed", "what hearing costs on one core"),
    "film": ("engines.audio.evidence.film", "videos and sheets to look at"),
}

if __name__ == "__main__":
    raise SystemExit(main("engines.audio", __doc__, COMMANDS))
