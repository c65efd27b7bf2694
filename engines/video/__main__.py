"""``python -m engines.video``: make training clips, train the generator, look at what it makes."""

from __future__ import annotations

from engines.commands import main

COMMANDS = {
    "render": ("engines.video.data.render", "training clips: portraits moved by the puppet"),
    "codec": ("engines.video.train_codec", "train the codec"),
    "latents": (
        "engines.video.make_latents",
        "training clips as the transformer wants them",
    ),
    "dit": ("engines.video.train_dit", "train the diffusion transformer"),
    "student": ("engines.video.train_student", "teach guidance in one pass, and few steps"),
    "export": ("engines.video.export", "ONNX graphs that run without torch"),
    "adapt": ("engines.video.adapt", "learn one face's features, for sharper pictures of it"),
    "gallery": ("engines.video.gallery", "sheets of portraits, beside the puppet"),
    "drift": ("engines.video.drift", "whether a portrait stays itself over minutes"),
    "train": ("engines.video.train_all", "all of these stages, in the time there is"),
    "sample": ("engines.video.sample", "videos from portraits, controls and sound"),
}

if __name__ == "__main__":
    raise SystemExit(main("engines.video", __doc__, COMMANDS))
