"""A model in this process: any chat model `transformers` can load, with or without eyes.

Needs ``pip install torch transformers`` and weights: a folder, or a name on the Hugging Face hub
that is fetched on first use. One worker thread owns the model; questions wait their turn.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from PIL import Image, UnidentifiedImageError

from planner.backends.backend import Answer, PlannerFailed, Question, R
from planner.backends.extract import read_answer
from planner.tidy import plain

log = logging.getLogger(__name__)

NEEDED: Final = (
    "The local planner needs torch and transformers: pip install torch transformers. "
    "Without them use the endpoint or the embedded planner."
)
LARGEST_SIDE: Final = 448
"Pixels; a face needs no more, and every patch costs tokens (free)."


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Which model, and where it runs."""

    model: str
    "A folder, or a name on the hub."
    device: str = "cpu"
    "As torch names it: cpu, cuda, cuda:1, mps."
    dtype: str = "auto"
    "As torch names it: float32, bfloat16; auto: as the weights are."
    offline: bool = False
    "Never fetch anything from the hub."
    max_tokens: int = 900
    temperature: float = 0.7


Writer: TypeAlias = Callable[[Question[Any], Callable[[], bool]], str]
"""What turns a question into text, cut short as soon as the second argument says so. Only ever
called in the one thread."""


class Local:
    """A backend over `transformers`. Loads the model when first asked."""

    name = "local"

    def __init__(
        self,
        settings: LocalSettings,
        load: Callable[[LocalSettings], Writer] | None = None,
    ) -> None:
        self._settings = settings
        self._load = load or load_writer
        self._writer: Writer | None = None
        self._missing: PlannerFailed | None = None
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner-local")

    async def aclose(self) -> None:
        """Stop writing and let go of the model; asking afterwards fails."""
        self._closed.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._writer = None

    async def ask(self, question: Question[R], seconds: float) -> Answer[R]:
        """Answer within ``seconds``, waiting included. Loading goes on after a failure.

        Raises:
            PlannerFailed: missing when software or weights are not there; else as `read_answer`.
        """
        if self._closed.is_set():
            raise PlannerFailed("missing", "The local planner has been closed.")
        given_up = threading.Event()
        deadline = time.monotonic() + seconds

        def stop() -> bool:
            over = time.monotonic() > deadline
            return over or given_up.is_set() or self._closed.is_set()

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                text = await loop.run_in_executor(self._thread, self._write, question, stop)
        except TimeoutError as error:
            raise PlannerFailed("timeout", f"No answer within {seconds:.1f} s.") from error
        except PlannerFailed:
            raise
        except Exception as error:
            # Out of memory, a broken checkpoint, a template that fails: torch raises anything.
            log.warning("The local planner failed", exc_info=True)
            what = plain(f"{type(error).__name__}: {error}", 200)
            raise PlannerFailed("bug", f"The local model failed: {what}") from error
        finally:
            given_up.set()
        return read_answer(text, question.reply)

    def _write(self, question: Question[Any], stop: Callable[[], bool]) -> str:
        if self._missing is not None:
            raise self._missing
        if self._writer is None:
            try:
                self._writer = self._load(self._settings)
            except PlannerFailed as failure:
                # It will not appear while the server runs; looking for it takes seconds.
                self._missing = failure
                raise
        return "" if stop() else self._writer(question, stop)


# --- transformers ----------------------------------------------------------------------------


def load_writer(settings: LocalSettings) -> Writer:
    """Load the model and what goes with it.

    Raises:
        PlannerFailed: Software or weights are missing.
    """
    try:
        torch: Any = importlib.import_module("torch")
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise PlannerFailed("missing", NEEDED) from error
    began = time.monotonic()
    # Code that comes with a checkpoint is never run.
    common = {"local_files_only": settings.offline, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(settings.model, **common)
        sees = type(config) in transformers.AutoModelForImageTextToText._model_mapping
        if sees:
            words = transformers.AutoProcessor.from_pretrained(settings.model, **common)
            kind = transformers.AutoModelForImageTextToText
        else:
            words = transformers.AutoTokenizer.from_pretrained(settings.model, **common)
            kind = transformers.AutoModelForCausalLM
        model = kind.from_pretrained(settings.model, dtype=settings.dtype, **common)
    except (OSError, ValueError, ImportError) as error:
        what = plain(str(error), 200)
        raise PlannerFailed(
            "missing", f"The model {plain(settings.model, 80)} can not be loaded: {what}"
        ) from error
    model = model.to(settings.device).eval()
    log.info("Planner model %s loaded in %.1f s", settings.model, time.monotonic() - began)
    return _TransformersWriter(torch, transformers, model, words, sees, settings)


class _TransformersWriter:
    """One loaded model."""

    def __init__(
        self,
        torch: Any,
        transformers: Any,
        model: Any,
        words: Any,
        sees: bool,
        settings: LocalSettings,
    ) -> None:
        self._torch = torch
        self._transformers = transformers
        self._model = model
        self._words = words
        self._sees = sees
        self._settings = settings

    def __call__(self, question: Question[Any], stop: Callable[[], bool]) -> str:
        self._torch.manual_seed(question.seed % (1 << 31))
        image = _picture(question.image) if self._sees else None
        inputs = self._inputs(question, image).to(self._model.device)
        given = inputs["input_ids"].shape[1]
        with self._torch.inference_mode():
            made = self._model.generate(
                **inputs,
                max_new_tokens=self._settings.max_tokens,
                do_sample=self._settings.temperature > 0,
                temperature=self._settings.temperature or None,
                stopping_criteria=[self._stopping(stop)],
            )
        tokenizer = getattr(self._words, "tokenizer", self._words)
        return str(tokenizer.decode(made[0, given:], skip_special_tokens=True))

    def _inputs(self, question: Question[Any], image: Image.Image | None) -> Any:
        if getattr(self._words, "chat_template", None) is None:
            text = f"{question.system}\n\n{question.user}\n\n"
            return self._words(text=text, return_tensors="pt")
        # Processors want parts, tokenizers want plain text.
        user: Any = question.user
        system: Any = question.system
        if self._sees:
            picture = [] if image is None else [{"type": "image", "image": image}]
            system = [{"type": "text", "text": system}]
            user = [*picture, {"type": "text", "text": user}]
        return self._words.apply_chat_template(
            [{"role": "system", "content": system}, {"role": "user", "content": user}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _stopping(self, stop: Callable[[], bool]) -> Any:
        torch = self._torch

        class Stop(self._transformers.StoppingCriteria):  # type: ignore[name-defined, misc]
            def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
                return torch.full((ids.shape[0],), stop(), device=ids.device, dtype=torch.bool)

        return Stop()


def _picture(jpeg: bytes | None) -> Image.Image | None:
    if jpeg is None:
        return None
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
            picture = image.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise PlannerFailed("unusable", "The portrait is no image a model could see.") from error
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return picture
