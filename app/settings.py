"""Settings from environment variables, read once at the start of a process."""

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from app.addresses import parse_networks
from app.rates import RATES, parse_rate

QUOTAS = (
    "max_running_jobs",
    "max_stored_bytes",
    "max_datasets",
    "max_models",
    "max_versions",
    "max_schedules",
    "max_webhooks",
)
PREFIX = "FORECASTLE_"
FILE = "_FILE"  # end of the name of a variable whose value is the path of a file with the setting
SQLITE_FILE = "forecastle.db"  # in the data folder
KEY_FILE = "api-key"  # in the data folder: the first API key


def default_data_dir() -> Path:
    """Return the folder ``forecastle`` where programs keep a user's data, by the XDG Base Directory Specification.

    Raises:
        RuntimeError: the user has no home folder.
    """
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "forecastle"


class _Files(PydanticBaseSettingsSource):
    """The settings that are in files, whose paths are in ``FORECASTLE_<NAME>_FILE``."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """Return the text of the file without its last line break, the name of the setting, and that it is no JSON."""
        given = {name.upper(): value for name, value in os.environ.items()}
        variable = f"{PREFIX}{field_name.upper()}"
        if (path := given.get(variable + FILE)) is None:
            return None, field_name, False
        if variable in given:
            raise SettingsError(f"{variable}{FILE}: {variable} is set too; unset one of them")
        try:
            return Path(path).read_text().removesuffix("\n"), field_name, False
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"{variable}{FILE}: {error}; name a text file that this user can read") from error

    def __call__(self) -> dict[str, Any]:
        """Return the values by the names of their settings."""
        values = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {name: value for value, name, _ in values if value is not None}


class Settings(BaseSettings):
    """Settings of one process, each from an environment variable ``FORECASTLE_<NAME>`` or from the file that
    ``FORECASTLE_<NAME>_FILE`` names.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the SQLite file and of the first API key; `$XDG_DATA_HOME/forecastle` if that is set.",
    )
    database_url: str | None = Field(
        None,
        repr=False,  # it may have a password
        description="SQLAlchemy address of the database; an SQLite file in the data folder if unset.",
    )
    database_password: SecretStr | None = Field(
        None, description="Password of the database, apart from its address; any characters."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    allowed_hosts: str | None = Field(
        None,
        description="Names and addresses by which clients may call the service, with commas; any if unset, but only "
        "`localhost`, `127.0.0.1` and `::1` where it listens on one of these.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    traces_url: str | None = Field(
        None, description="Address of an OpenTelemetry collector, OTLP over HTTP, for traces; none if unset."
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of the log lines: text or json.")
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of metrics without a key, for the network of the monitoring only; none if unset.",
    )
    engine: Literal["onnx", "keras"] = Field("onnx", description="Engine of the networks: onnx (CPU) or keras (GPU).")
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="Device of the engine keras; without a GPU the service logs a warning and uses the CPU."
    )
    threads: int = Field(1, ge=1, description="Threads of one forward pass on the CPU.")
    max_body_bytes: int = Field(32 * 1024**2, ge=1024, description="Largest request body, in bytes.")
    max_json_bytes: int = Field(
        16 * 1024**2,
        ge=1024,
        description="Largest JSON body, in bytes; its values may take eight times as much memory.",
    )
    max_bodies_bytes: int = Field(
        512 * 1024**2,
        ge=1024**2,
        description="Memory of all request bodies under way, read and parsed, in bytes; a tenant may use half of it.",
    )
    max_connections: int = Field(
        4_000, ge=1, description="Open connections; fewer if the process may not open so many files."
    )
    max_rows: int = Field(2_000_000, ge=1, description="Largest number of rows in one data set.")
    max_horizon: int = Field(5_000, ge=1, description="Largest horizon of one request, in steps.")
    max_forecast_points: int = Field(
        1_000_000,
        ge=1,
        description="Largest number of values in one answer: series x steps x (2 + 2 x levels + quantiles).",
    )
    max_forecast_gflop: int = Field(500, ge=1, description="Largest cost of one answer, in 10^9 operations.")
    forecast_threads: int = Field(4, ge=1, description="Large forecast requests that are parsed at the same time.")
    forecast_timeout_s: float = Field(30.0, gt=0, description="Seconds that a forecast waits for its turn.")
    load_timeout_s: float = Field(10.0, gt=0, description="Seconds that a request waits for its model to be loaded.")
    max_waiting: int = Field(1_000, ge=1, description="Forecasts that wait for their turn before more are refused.")
    max_streams: int = Field(8, ge=1, description="Streams of forecasts that are sent at the same time.")
    max_streams_per_tenant: int = Field(4, ge=1, description="Streams of one tenant that are sent at the same time.")
    write_timeout_s: float = Field(
        30.0, gt=0, description="Seconds without a byte taken by the client before an answer is cut off."
    )
    cache_bytes: int = Field(256 * 1024**2, ge=0, description="Bytes of trained models kept in memory.")
    data_cache_bytes: int = Field(64 * 1024**2, ge=0, description="Bytes of stored data sets kept in memory.")
    session_bytes: int = Field(64 * 1024**2, ge=1024**2, description="Bytes of sessions kept in memory.")
    session_ttl_s: float = Field(3_600.0, ge=1, le=604_800, description="Seconds that a session is kept unused.")
    max_sessions: int = Field(10_000, ge=0, description="Sessions of one tenant in one process.")
    forecast_log_share: float = Field(
        0.1, ge=0, le=1, description="Share of forecasts of stored data that are logged and later scored."
    )
    forecast_log_days: int = Field(90, ge=1, description="Days that a logged forecast is kept for scoring.")
    quality_days: int = Field(400, ge=1, description="Days that the sums of realised errors are kept.")
    shadows: bool = Field(True, description="Whether challengers forecast the logged requests too, unserved.")
    adapt_intervals: bool = Field(True, description="Whether intervals adapt to their realised coverage.")
    lease_s: float = Field(30.0, gt=0, description="Seconds without a heartbeat before a job is taken over.")
    poll_s: float = Field(0.5, gt=0, description="Seconds between two polls of the job table.")
    max_job_points: int = Field(
        50_000_000, ge=1, description="Largest number of values in the file of one job: rows x numeric columns."
    )
    max_job_gflop: int = Field(
        100_000, ge=1, description="Largest cost of the forecasts of one job, in 10^9 operations."
    )
    max_job_s: float = Field(172_800.0, gt=0, description="Longest time that one attempt at a job may run, in seconds.")
    max_queued_jobs: int = Field(10_000, ge=1, description="Queued jobs of one tenant before more are refused.")
    max_running_jobs: int = Field(
        10_000, ge=0, description="Jobs of one tenant that run at the same time, on all workers; more wait."
    )
    max_artifact_bytes: int = Field(1024**3, ge=1024, description="Largest file of a job, in bytes.")
    max_stored_artifact_bytes: int = Field(
        10 * 1024**3, ge=1024, description="Bytes of all files of one tenant's jobs before more are refused."
    )
    artifact_days: float = Field(30.0, gt=0, description="Days that the files of a job are kept after its end.")
    max_attempts: int = Field(3, ge=1, description="Attempts at a job before it counts as failed.")
    worker_slots: int = Field(1, ge=1, le=1_000, description="Jobs that one worker runs at the same time.")
    worker_resources: Literal["cpu", "gpu", "cpu,gpu"] = Field(
        "cpu,gpu", description="Resources of the jobs that a worker claims: cpu, gpu or cpu,gpu."
    )
    cpu_slots: int | None = Field(
        None, ge=0, description="Jobs that run on cpu at once, on all workers; 0: no limit; unset: the stored value."
    )
    gpu_slots: int | None = Field(
        None, ge=0, description="Jobs that run on gpu at once, on all workers; 0: no limit; unset: the stored value."
    )
    job_threads: int | None = Field(
        None, ge=1, description="Threads of one job's arithmetic; an equal share of the processors if unset."
    )
    warm_bytes: int = Field(
        2 * 1024**3, ge=0, description="Bytes of memory above which a job process ends after its job."
    )
    executor: Literal["local", "ray"] = Field(
        "local", description="Where jobs run: local (child processes of the worker) or ray (a cluster)."
    )
    api_url: str | None = Field(None, description="Address at which the machines of a cluster reach the API.")
    drain_s: float = Field(
        20.0, gt=0, le=3_600, description="Seconds after SIGTERM for the requests under way; the rest gets 503."
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="Seconds after SIGTERM in which new connections are still accepted, while /readyz answers 503.",
    )
    tenant_requests: str = Field("", description="Rate of a tenant's requests, such as 600/min; unset: no limit.")
    tenant_series: str = Field("", description="Rate of the series that a tenant forecasts, such as 10000/min.")
    tenant_points: str = Field("", description="Rate of the values in a tenant's forecasts, such as 5000000/h.")
    key_requests: str = Field("", description="Rate of the requests of one key, such as 20/s.")
    key_series: str = Field("", description="Rate of the series that one key forecasts.")
    key_points: str = Field("", description="Rate of the values in one key's forecasts.")
    max_stored_bytes: int = Field(
        100 * 1024**3, ge=0, description="Bytes of one tenant's data sets, versions and files of jobs."
    )
    max_datasets: int = Field(10_000, ge=0, description="Data sets of one tenant.")
    max_models: int = Field(10_000, ge=0, description="Models of one tenant that are not archived.")
    max_versions: int = Field(100_000, ge=0, description="Versions of one tenant that are not deleted.")
    max_schedules: int = Field(1_000, ge=0, description="Schedules of one tenant.")
    max_webhooks: int = Field(20, ge=0, description="Webhooks of one tenant.")
    max_watchers: int = Field(1_000, ge=1, description="Requests that may follow jobs at the same time.")
    max_watchers_per_tenant: int = Field(
        250, ge=1, description="Requests of one tenant that may follow jobs at the same time."
    )
    webhook_private_networks: str = Field(
        "", description="Private networks that webhooks may be in, such as 10.1.0.0/16, fd00::/8."
    )

    @field_validator("database_password")
    @classmethod
    def _belongs_to_a_user(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        address = urlsplit(info.data.get("database_url") or "")
        if password is not None and (not address.username or address.password is not None):
            raise ValueError(
                f"{PREFIX}DATABASE_URL must name a user and no password, such as postgresql+psycopg://user@host/name"
            )
        return password

    @field_validator(*RATES)
    @classmethod
    def _rates(cls, text: str) -> str:
        parse_rate(text)
        return text

    oidc_issuer: str | None = Field(
        None, description="Issuer whose OpenID Connect tokens are accepted beside keys, such as https://id.example.org."
    )
    oidc_audience: str | None = Field(
        None, validate_default=True, description="Audience that a token of the issuer must name."
    )
    oidc_tenant_claim: str = Field("tenant", description="Claim of a token with the name of its tenant.")
    oidc_scope_claim: str = Field(
        "scope", description="Claim of a token with `forecastle:SCOPE`, in a list or in a text with spaces."
    )
    oidc_leeway_s: float = Field(30.0, ge=0, le=600, description="Seconds that the issuer's clock may differ.")
    oidc_private_networks: str = Field("", description="Private networks that the issuer may be in.")

    @field_validator("oidc_audience")
    @classmethod
    def _is_beside_issuer(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("oidc_issuer") and not audience:
            raise ValueError("set it beside FORECASTLE_OIDC_ISSUER; without it, tokens for other services would do")
        return audience

    @field_validator("webhook_private_networks", "oidc_private_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from: arguments, environment variables, files that these name."""
        return init_settings, env_settings, _Files(settings_cls)

    @property
    def rates(self) -> dict[str, str]:
        """Return the rates of tenants and keys by name, as texts."""
        return {name: getattr(self, name) for name in RATES}

    @property
    def quotas(self) -> dict[str, int]:
        """Return the quotas that the database checks, by name."""
        return {name: getattr(self, name) for name in QUOTAS}

    @property
    def url(self) -> str:
        """Return the SQLAlchemy address of the database, with its password."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.absolute() / SQLITE_FILE}"
        if self.database_password is None:
            return self.database_url
        address = urlsplit(self.database_url)
        password = quote(self.database_password.get_secret_value(), safe="")
        return address._replace(netloc=address.netloc.replace("@", f":{password}@")).geturl()
