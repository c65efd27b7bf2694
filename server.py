"""Start here: settings → parts → serve.

    python server.py [--host H] [--port P] [--config FILE]

Settings come, in this order, from the command line, the environment (``SACCADE_PORT=9000``,
``SACCADE_RUNTIME__MAX_SESSIONS=4``), the TOML file named by ``SACCADE_CONFIG`` (``saccade.toml``
when it exists), and the defaults below.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, field_validator
from pydantic.dataclasses import dataclass
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from threadpoolctl import threadpool_limits

from core import Unavailable
from engines.voice import Voice, open_voice
from planner.backends.endpoint import Endpoint, EndpointSettings
from planner.backends.local import Local, LocalSettings
from runtime.author import Writers
from runtime.portraits import PortraitStore
from runtime.sessions import Sessions
from runtime.settings import PlannerSettings, RuntimeSettings
from stream.app import create_app
from stream.connections import Config
from stream.drain import DrainingServer
from stream.gather import resolved
from stream.logs import configure_logging
from stream.settings import StreamSettings
from stream.tls import check_certificate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """Where `say` gets its voice."""

    kind: Literal["auto", "none", "piper", "endpoint"] = "auto"
    "auto: the endpoint when a URL is set, else the local voice when it is installed, else none."
    url: str = ""
    "Base of an OpenAI-compatible API, such as http://localhost:8000/v1."
    model: str = ""
    "The endpoint's model (tts-1 when empty); for piper, the path of another voice's .onnx."
    voice: str = ""
    "The endpoint's voice (alloy when empty)."
    api_key: str = field(default="", repr=False)


class Settings(BaseSettings):
    """All of Saccade's settings."""

    model_config = SettingsConfigDict(
        env_prefix="SACCADE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    host: str = "127.0.0.1"
    "Address to listen on; 0.0.0.0 for all (browsers then want HTTPS for the microphone)."
    port: int = 8080
    tls_certificate: Path | None = None
    "PEM file with the certificate and those between it and a root: HTTPS and WSS instead of HTTP."
    tls_key: Path | None = None
    "PEM file with its private key; not needed when the key is in the certificate's file."
    data: Path = Path("var")
    "Where enrolled portraits and recordings are kept."
    max_portraits: int = 200
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False
    voice: VoiceSettings = VoiceSettings()
    planner: PlannerSettings = PlannerSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    stream: StreamSettings = StreamSettings()

    @field_validator("stream", mode="before")
    @classmethod
    def _split_lists(cls, given: object) -> object:
        """In the environment a list is written with commas."""
        if not isinstance(given, dict):
            return given
        lists = {f.name for f in fields(StreamSettings) if f.default == ()}
        return {
            name: [part.strip() for part in value.split(",") if part.strip()]
            if name in lists and isinstance(value, str)
            else value
            for name, value in given.items()
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get("SACCADE_CONFIG", "saccade.toml")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)


async def serve(settings: Settings) -> None:
    """Build the parts, serve until stopped, and close everything on the way out."""
    threadpool_limits(1, user_api="blas")  # idle BLAS threads spin: measured 70 % of a core
    secure = settings.tls_certificate is not None
    if settings.tls_certificate is not None:
        check_certificate(settings.tls_certificate, settings.tls_key)
    elif settings.tls_key is not None:
        raise Unavailable("tls_key is set, tls_certificate is not: HTTPS needs the certificate.")
    transport = await resolved(settings.stream)
    listener = listen(settings.host, settings.port)
    store = PortraitStore(settings.data / "portraits", limit=settings.max_portraits)
    opening = asyncio.create_task(asyncio.to_thread(open_configured_voice, settings.voice))
    writers = open_writers(settings.planner)
    async with Sessions(store, None, settings.runtime, writers=writers) as sessions:
        voice = sessions.voice = await opening  # the portrait warms up meanwhile
        app = create_app(sessions, transport, settings.data / "recordings")
        config = Config(
            app, transport, timeout_graceful_shutdown=3, ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )  # fmt: skip
        scheme, port = "https" if secure else "http", listener.getsockname()[1]
        log.info("Saccade listens on %s://%s:%d", scheme, settings.host, port)
        await DrainingServer(config, sessions, settings.stream.drain_seconds).serve([listener])
    store.close()
    if voice is not None:
        await voice.close()
    if writers is not None:
        await writers.aclose()


def listen(host: str, port: int) -> socket.socket:
    """The server's socket, bound before anything slow happens. Raises Unavailable."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Unavailable(
            f"{host}:{port} can not be listened on ({error.strerror}). Another server may be"
            " running there; choose another port with --port."
        ) from None


def open_writers(settings: PlannerSettings) -> Writers | None:
    """The model that plans; None for the embedded planner. Raises Unavailable."""
    if settings.kind == "embedded":
        return None
    if settings.kind == "endpoint":
        endpoint = EndpointSettings(
            settings.url, settings.model, settings.api_key, total_seconds=settings.timeout
        )
        return Writers(Endpoint(endpoint), settings)
    return Writers(Local(LocalSettings(settings.model)), settings)


def open_configured_voice(settings: VoiceSettings) -> Voice | None:
    """The chosen voice; with ``auto``, None when no local voice is installed."""
    if settings.kind == "none":
        return None
    try:
        return open_voice(
            settings.kind,
            url=settings.url,
            model=settings.model,
            voice=settings.voice,
            api_key=settings.api_key,
        )
    except Unavailable as error:
        if settings.kind != "auto":
            raise
        log.warning("`say` is off: %s", error)
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """The `saccade` command."""
    parser = argparse.ArgumentParser(prog="saccade", description="Streaming avatar server")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--config", help="TOML file with settings")
    given = parser.parse_args(arguments)
    if given.config:
        os.environ["SACCADE_CONFIG"] = given.config
    chosen = {k: v for k, v in vars(given).items() if v is not None and k != "config"}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        parser.error(f"settings can not be used: {wrong}. docs/configuration.md lists them.")
    configure_logging(settings.log_level, as_json=settings.log_json)
    try:
        asyncio.run(serve(settings))
    except KeyboardInterrupt:
        log.info("stopped")
    except Unavailable as error:
        raise SystemExit(f"saccade: {error}") from None


if __name__ == "__main__":
    main()
