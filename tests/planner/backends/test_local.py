"""The local back end: one thread, within its time; a real tiny model where there is torch."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from planner.backends.backend import PlannerFailed, Question
from planner.backends.local import Local, LocalSettings, Writer, load_writer
from planner.messages import Reflection, ReflectionRequest
from planner.prompts import SYSTEM, fenced

QUESTION = Question(
    "reflection",
    SYSTEM["reflection"],
    fenced(ReflectionRequest(label="idle", instruction="", events=())),
    Reflection,
)
GOOD = '<think>hm</think>{"reasoning": "fine", "keep": true, "advice": ""}'
HAVE_TORCH = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
needs_torch = pytest.mark.skipif(not HAVE_TORCH, reason="torch and transformers not installed")


def local(write: Callable[[Question[Any], Callable[[], bool]], str]) -> Local:
    return Local(LocalSettings("none"), lambda settings: write)


async def test_text_becomes_a_checked_answer() -> None:
    backend = local(lambda question, stop: GOOD)
    answer = await backend.ask(QUESTION, 5)
    assert answer.content.keep and answer.reasoning == "hm fine"
    await backend.aclose()


async def test_the_model_is_loaded_once_and_used_by_one_thread() -> None:
    loaded: list[LocalSettings] = []
    threads: set[int] = set()

    def write(question: Question[Any], stop: Callable[[], bool]) -> str:
        threads.add(threading.get_ident())
        return GOOD

    def load(settings: LocalSettings) -> Writer:
        loaded.append(settings)
        return write

    backend = Local(LocalSettings("none"), load)
    await asyncio.gather(*(backend.ask(QUESTION, 5) for _ in range(5)))
    assert len(loaded) == len(threads) == 1
    assert threads != {threading.get_ident()}
    await backend.aclose()


async def test_a_slow_model_is_stopped() -> None:
    stopped = threading.Event()

    def write(question: Question[Any], stop: Callable[[], bool]) -> str:
        while not stop():
            time.sleep(0.005)
        stopped.set()
        return GOOD

    backend = local(write)
    began = time.monotonic()
    with pytest.raises(PlannerFailed, match="No answer within") as caught:
        await backend.ask(QUESTION, 0.1)
    assert caught.value.kind == "timeout" and time.monotonic() - began < 1
    assert await asyncio.to_thread(stopped.wait, 2)
    await backend.aclose()


async def test_cancelling_stops_the_model_too() -> None:
    began, stopped = threading.Event(), threading.Event()

    def write(question: Question[Any], stop: Callable[[], bool]) -> str:
        began.set()
        while not stop():
            time.sleep(0.005)
        stopped.set()
        return ""

    backend = local(write)
    task = asyncio.create_task(backend.ask(QUESTION, 30))
    assert await asyncio.to_thread(began.wait, 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(stopped.wait, 2)
    await backend.aclose()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyError("x"), MemoryError()])
async def test_a_model_that_fails_is_one_error(error: Exception) -> None:
    def write(question: Question[Any], stop: Callable[[], bool]) -> str:
        raise error

    backend = local(write)
    with pytest.raises(PlannerFailed) as caught:
        await backend.ask(QUESTION, 5)
    assert caught.value.kind == "bug"
    await backend.aclose()


async def test_what_is_missing_is_looked_for_once() -> None:
    tries = []

    def load(settings: LocalSettings) -> Writer:
        tries.append(settings)
        raise PlannerFailed("missing", "pip install torch transformers")

    backend = Local(LocalSettings("none"), load)
    for _ in range(3):
        with pytest.raises(PlannerFailed, match="pip install") as caught:
            await backend.ask(QUESTION, 5)
        assert caught.value.kind == "missing"
    assert len(tries) == 1
    await backend.aclose()


async def test_a_closed_one_says_so() -> None:
    backend = local(lambda question, stop: GOOD)
    await backend.aclose()
    with pytest.raises(PlannerFailed, match="closed"):
        await backend.ask(QUESTION, 5)


@pytest.mark.skipif(HAVE_TORCH, reason="torch and transformers are installed")
async def test_without_torch_it_says_what_to_install() -> None:
    backend = Local(LocalSettings("some/model"))
    with pytest.raises(PlannerFailed, match="pip install torch transformers"):
        await backend.ask(QUESTION, 30)
    await backend.aclose()


# --- a real model ----------------------------------------------------------------------------

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
SEEING_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% endfor %}<assistant>"
)


def transformers() -> Any:
    return importlib.import_module("transformers")


def bytes_tokenizer(template: str | None) -> Any:
    """A tokenizer of single bytes: nothing to train, nothing to fetch."""
    tokenizers = importlib.import_module("tokenizers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|end|>", pad_token="<|pad|>", chat_template=template,
        additional_special_tokens=["<image>"], model_max_length=8192,
    )  # fmt: skip


def text_settings() -> dict[str, Any]:
    return {
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 8192,
    }  # fmt: skip


def save_text_model(where: Path, template: str | None = TEMPLATE) -> None:
    tf = transformers()
    tf.LlamaForCausalLM(tf.LlamaConfig(**text_settings())).save_pretrained(where)
    bytes_tokenizer(template).save_pretrained(where)


def save_seeing_model(where: Path) -> None:
    tf = transformers()
    words = bytes_tokenizer(SEEING_TEMPLATE)
    vision = tf.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=16,
    )  # fmt: skip
    config = tf.LlavaConfig(
        vision_config=vision, text_config=tf.LlamaConfig(**text_settings()),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    tf.LlavaForConditionalGeneration(config).save_pretrained(where)
    images = tf.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    tf.LlavaProcessor(
        images, words, patch_size=16, vision_feature_select_strategy="default",
        chat_template=SEEING_TEMPLATE, num_additional_image_tokens=1,
    ).save_pretrained(where)  # fmt: skip


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 150, 120)).save(out, "JPEG")
    return out.getvalue()


@needs_torch
@pytest.mark.parametrize("template", [TEMPLATE, None])
@pytest.mark.filterwarnings("default")
async def test_a_real_model_is_loaded_and_writes(tmp_path: Path, template: str | None) -> None:
    save_text_model(tmp_path, template)
    settings = LocalSettings(str(tmp_path), offline=True, max_tokens=40)
    first = load_writer(settings)(QUESTION, lambda: False)
    assert isinstance(first, str) and first
    assert first == load_writer(settings)(QUESTION, lambda: False), "a seed decides"
    backend = Local(settings)
    with pytest.raises(PlannerFailed) as caught:
        await backend.ask(QUESTION, 60)
    assert caught.value.kind in ("empty", "not_json", "wrong_schema")
    await backend.aclose()


@needs_torch
@pytest.mark.filterwarnings("default")
async def test_a_model_with_eyes_is_shown_the_portrait(tmp_path: Path) -> None:
    save_seeing_model(tmp_path)
    writer = load_writer(LocalSettings(str(tmp_path), offline=True, max_tokens=20))
    seen = Question(QUESTION.role, QUESTION.system, QUESTION.user, QUESTION.reply, jpeg(), seed=1)
    assert isinstance(writer(seen, lambda: False), str)
    assert isinstance(writer(QUESTION, lambda: False), str)
    broken = Question(
        QUESTION.role, QUESTION.system, QUESTION.user, QUESTION.reply, b"no image", seed=1
    )
    with pytest.raises(PlannerFailed, match="no image"):
        writer(broken, lambda: False)


@needs_torch
@pytest.mark.filterwarnings("default")
async def test_a_real_model_stops_in_time(tmp_path: Path) -> None:
    save_text_model(tmp_path)
    backend = Local(LocalSettings(str(tmp_path), offline=True, max_tokens=4000))
    with pytest.raises(PlannerFailed):
        await backend.ask(QUESTION, 0.5)
    began = time.monotonic()
    await backend.aclose()
    assert time.monotonic() - began < 20


@needs_torch
@pytest.mark.filterwarnings("default")
async def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    backend = Local(LocalSettings(str(tmp_path / "nothing"), offline=True))
    with pytest.raises(PlannerFailed, match="can not be loaded") as caught:
        await backend.ask(QUESTION, 60)
    assert caught.value.kind == "missing"
    await backend.aclose()
