"""trial.toml: one file describes a trial. Unknown keys, wrong types and impossible values name the key and its line."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trial.calendar import Calendar
from trial.errors import ConfigError

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
EXPORT_FORMATS = ("aws-lambda", "cloud-run", "runpod", "replicate", "invocations")


_SECRET_IN_URL = re.compile(
    r"://[^/\s@]*:[^/\s@]+@|[?&][^=&]*(?:password|secret|token|signature|access_key|api_?key)[^=&]*=", re.IGNORECASE
)


def _without_secrets(value: str) -> str:
    if _SECRET_IN_URL.search(value):
        raise ValueError("holds a password or a key; leave it out and give it in the environment, as the guide of its service says")
    return value


def _env_name(value: str) -> str:
    # Keys themselves are pasted here; none that is known is all capitals.
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", value):
        raise ValueError("expected the name of an environment variable, in capitals, and not the key itself")
    return value


Address = Annotated[str, AfterValidator(_without_secrets)]
EnvName = Annotated[str, AfterValidator(_env_name)]


class Section(BaseModel):
    """A table of trial.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class TrialSection(Section):
    """[trial]: what is tried, when, and the rule registered at its start."""

    name: str = Field(description="the trial's name, used in paths and in MLflow")
    start: date = Field(description="first local day of the trial")
    days: Annotated[int, Field(ge=1, le=366)] = Field(14, description="length in local days")
    timezone: str = Field("UTC", description="IANA time zone whose calendar days are the trial's days")
    cold_hit_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.20, description="evaluate dedicated endpoints above this share of cold hits"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="of the interval and of a decision")
    user_facing: bool = Field(True, description="false: nobody waits, so nobody notices")
    latency_slo_ms: Annotated[float, Field(gt=0)] = Field(500.0, description="a caller who waits longer notices")
    noticed_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01, description="users notice when more than this share misses the SLO because of a cold start"
    )

    @field_validator("latency_slo_ms", "cold_hit_threshold", "confidence", "noticed_share", mode="before")
    @classmethod
    def _whole_numbers_are_numbers(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, value: str) -> str:
        return _safe_name(value)

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError(f"no such time zone {value!r}; use an IANA name such as Europe/London") from exc
        return value


class StoreSection(Section):
    """[store]: where raw events, invocations and summaries are kept."""

    url: Address = Field("fortnight-data", description="a folder (relative to trial.toml), s3://bucket/prefix or gs://bucket/prefix")
    keep_raw: Literal["all", "known-fields"] = Field(
        "all", description="known-fields: of users' log lines keep only handler fields, and the length and hash of all others"
    )


class TrackingSection(Section):
    """[tracking]: the MLflow store."""

    uri: Address | None = Field(None, description="MLflow tracking URI; default: SQLite beside the store")


class PricesSection(Section):
    """[prices]: which price book, and how old it may be."""

    book: str = Field("standard", description="standard, article, or the path of a TOML file of your own")
    max_age_days: Annotated[int, Field(ge=1)] = Field(90, description="a price read longer ago is stale")
    free_tier: bool = Field(False, description="subtract the providers' monthly free tiers")
    hours_per_month: Annotated[int, Field(ge=1)] = Field(730, description="for per-month figures")
    tolerance: Annotated[float, Field(gt=0)] = Field(0.05, description="modelled against billed: flag beyond this share")


class CollectSection(Section):
    """[collect]: how daily collection reads the sources."""

    lookback_hours: Annotated[int, Field(ge=0, le=336)] = Field(
        48, description="days that ended this recently are read again for late events"
    )
    watermark_minutes: Annotated[int, Field(ge=0)] = Field(15, description="a day is read only when it ended at least this long ago")
    cron: str = Field("30 3 * * *", description="when `fortnight serve` collects, in the trial's time zone")


class EngineSection(Section):
    """[engine]: where collection runs."""

    dask: str | None = Field(None, description='"local" or "tcp://scheduler:8786"; default: threads in this process')
    part_mb: Annotated[float, Field(gt=0)] = Field(
        32.0, description="a day with more compressed raw events is computed in parts, dealt out by log stream where the platform allows"
    )

    @field_validator("part_mb", mode="before")
    @classmethod
    def _whole_numbers_are_numbers(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("dask")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and value != "local" and not re.match(r"^(tcp|tls|ws|wss|ucx)://[^\s/]+$", value):
            raise ValueError(f'neither "local" nor an address such as tcp://scheduler:8786, got {value!r}')
        return value


class KeepWarm(Section):
    """How to recognise keep-warm pings that do not say synthetic themselves."""

    path: str | None = Field(None, description="regular expression over the request path")
    payload: str | None = Field(None, description="regular expression over the handler's log line")

    @field_validator("path", "payload")
    @classmethod
    def _is_regex(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as exc:
                raise ValueError(f"not a regular expression: {exc}") from exc
        return value


class Triton(Section):
    """Readings of a Triton server's own statistics: its count of requests, and the time its GPUs computed."""

    stats: Address = Field(
        description="readings of `GET /v2/models/stats`, one a line with its time as `ts`, one file per server: "
        "a file or glob, relative to trial.toml, or an s3:// or gs:// glob"
    )
    model: str | None = Field(None, description="the model that callers ask for, where the server holds several")


class Resources(Section):
    """What one instance is given, where the price depends on it."""

    memory_mb: Annotated[int, Field(ge=128)] | None = None
    vcpu: Annotated[float, Field(gt=0)] | None = None
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    gpus: Annotated[int, Field(ge=1)] = 1

    @field_validator("vcpu", "memory_gib", mode="before")
    @classmethod
    def _whole_numbers_are_numbers(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class EndpointBase(Section):
    """Keys every [[endpoints]] table takes."""

    name: str = Field(description="unique; used in paths, MLflow and figures")
    price: str | None = Field(None, description="row of the price book; without it, no cost is computed")
    resources: Resources = Field(default_factory=Resources)
    model: str | None = Field(None, description="the model it serves, where its log lines do not say")
    gpu: str | None = Field(None, description="the GPU, for the report and MLflow")
    idle_timeout_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="how long an idle instance is kept; default: the price row's"
    )
    min_workers: Annotated[int, Field(ge=0)] = Field(0, description="instances kept warm, as configured on the platform")
    concurrency: Annotated[int, Field(ge=1)] = Field(1, description="requests one instance serves at once")
    keep_warm: KeepWarm | None = Field(None, description="how to recognise keep-warm pings")
    bill: Address | None = Field(
        None, description="billing export with FOCUS columns (CSV or Parquet) to reconcile with: a file or glob, relative to trial.toml"
    )
    triton: Triton | None = Field(None, description="where readings of Triton's statistics are kept, if it serves the model")
    fields: dict[str, str] = Field(default_factory=dict, description="handler line field -> dotted path in your own JSON log lines")
    api_endpoint: Address | None = Field(None, description="another address than the vendor's: the sandbox, or a proxy")

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, value: str) -> str:
        return _safe_name(value)

    @field_validator("idle_timeout_s", mode="before")
    @classmethod
    def _whole_numbers_are_numbers(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class AwsLambdaEndpoint(EndpointBase):
    """An AWS Lambda function, read from CloudWatch Logs."""

    platform: Literal["aws-lambda"]
    function: str
    region: str
    log_group: str | None = Field(None, description="default: /aws/lambda/<function>")
    logs: Address | None = Field(
        None,
        description="read the lines not from CloudWatch's API but from what Firehose or an export task wrote under s3://bucket/prefix, "
        "or in a folder",
    )
    profile: str | None = Field(None, description="name of an AWS profile; default: boto3's own chain")
    provisioned_concurrency: Annotated[int, Field(ge=0)] = 0


class CloudRunEndpoint(EndpointBase):
    """A Cloud Run service, read from Cloud Logging."""

    platform: Literal["cloud-run"]
    project: str
    service: str
    region: str
    logs: Address | None = Field(
        None,
        description="read the entries not from Cloud Logging's API but from what a sink wrote under gs://bucket/prefix, or in a folder",
    )


class RunpodEndpoint(EndpointBase):
    """A RunPod serverless endpoint: shipped handler lines, and usage from the billing API."""

    platform: Literal["runpod"]
    endpoint_id: str
    api_key_env: EnvName = "RUNPOD_API_KEY"
    handler_lines: Address | None = Field(None, description="files of handler lines: a glob, or s3:// or gs:// glob")


class SagemakerEndpoint(EndpointBase):
    """A SageMaker real-time endpoint."""

    platform: Literal["sagemaker"]
    endpoint_name: str
    region: str
    variant: str = "AllTraffic"
    profile: str | None = None
    instances: Annotated[int, Field(ge=0)] = 1


class VertexEndpoint(EndpointBase):
    """A Vertex AI online prediction endpoint."""

    platform: Literal["vertex-ai"]
    project: str
    region: str
    endpoint_id: str
    replicas: Annotated[int, Field(ge=0)] = 1


class ReplicateEndpoint(EndpointBase):
    """Replicate predictions of one model or deployment."""

    platform: Literal["replicate"]
    api_key_env: EnvName = "REPLICATE_API_TOKEN"
    model_owner_name: str | None = Field(None, description="owner/name of the model whose predictions count")
    deployment: str | None = Field(None, description="owner/name of the deployment whose predictions count")


class ExportEndpoint(EndpointBase):
    """Logs already on disk."""

    platform: Literal["export"]
    format: Literal["aws-lambda", "cloud-run", "runpod", "replicate", "invocations"]
    path: Address = Field(description="a file or glob, relative to trial.toml")


Endpoint = AwsLambdaEndpoint | CloudRunEndpoint | RunpodEndpoint | SagemakerEndpoint | VertexEndpoint | ReplicateEndpoint | ExportEndpoint


class Dedicated(Section):
    """[[dedicated]]: what serverless is compared with."""

    name: str
    price: str
    instances: Annotated[int, Field(ge=1)] = 1
    service_ms_scale: Annotated[Decimal, Field(gt=0)] = Field(
        Decimal(1), description="how much slower or faster the same request is on that GPU"
    )

    @field_validator("service_ms_scale", mode="before")
    @classmethod
    def _numbers_are_decimals(cls, value: Any) -> Any:
        return Decimal(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class Trial(Section):
    """The whole of trial.toml."""

    trial: TrialSection
    store: StoreSection = Field(default_factory=StoreSection)
    tracking: TrackingSection = Field(default_factory=TrackingSection)
    prices: PricesSection = Field(default_factory=PricesSection)
    collect: CollectSection = Field(default_factory=CollectSection)
    engine: EngineSection = Field(default_factory=EngineSection)
    endpoints: list[Annotated[Endpoint, Field(discriminator="platform")]] = Field(min_length=1)
    dedicated: list[Dedicated] = Field(default_factory=list)
    # Where the file was read from; relative paths are resolved against its folder. Not a key of the file.
    folder: Path = Field(default_factory=Path.cwd, exclude=True)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, names in (("endpoints", [e.name for e in self.endpoints]), ("dedicated", [d.name for d in self.dedicated])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {kind} are named {twice[0]!r}; names must be unique")
        return self

    @property
    def calendar(self) -> Calendar:
        return Calendar(start=self.trial.start, days=self.trial.days, zone=ZoneInfo(self.trial.timezone))

    def endpoint(self, name: str) -> Endpoint:
        """
        Raises:
            ConfigError: no endpoint of that name.
        """
        for endpoint in self.endpoints:
            if endpoint.name == name:
                return endpoint
        raise ConfigError(f"no endpoint named {name!r}", where="trial.toml", do=f"Known: {', '.join(e.name for e in self.endpoints)}")

    @property
    def store_url(self) -> str:
        """The store as an absolute path or URL."""
        url = self.store.url
        return url if "://" in url else str((self.folder / url).resolve())

    @property
    def tracking_uri(self) -> str:
        """The MLflow URI; a relative SQLite path is taken from trial.toml's folder."""
        uri = self.tracking.uri
        if uri is None:
            local = self.store_url if "://" not in self.store_url else str((self.folder / "fortnight-data").resolve())
            return f"sqlite:///{local}/mlflow.db"
        relative = re.match(r"^sqlite:///(?!/)(.+)$", uri)
        return f"sqlite:///{(self.folder / relative[1]).resolve()}" if relative else uri


def load(path: Path) -> Trial:
    """
    Reads and checks trial.toml.

    Raises:
        ConfigError: no such file, not TOML, or a key that is unknown, missing, of the wrong type or impossible.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise ConfigError("no such file", where=str(path), do="Run `fortnight init` to write one, or name it with --config") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot be read: {exc}", where=str(path)) from exc
    return parse(text, path=path)


def parse(text: str, *, path: Path) -> Trial:
    """As `load`, from text; `path` names it in errors and anchors its relative paths."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"not TOML: {exc}", where=str(path)) from exc
    except RecursionError as exc:
        raise ConfigError("nested too deeply", where=str(path)) from exc
    if "folder" in data:
        raise ConfigError("unknown key `folder`", where=_spot(path, text, ("folder",)))
    for endpoint in data.get("endpoints", []) if isinstance(data.get("endpoints"), list) else []:
        if isinstance(endpoint, dict) and endpoint.get("platform") == "banana":
            raise ConfigError(
                "Banana closed its serverless GPUs on 31 March 2024 and has no API left to read",
                where=_spot(path, text, ("endpoints", data["endpoints"].index(endpoint), "platform")),
                do='Records kept from it come in with platform = "export", format = "invocations"',
            )
    try:
        return Trial.model_validate({**data, "folder": path.resolve().parent})
    except ValidationError as exc:
        raise _first_problem(exc, text, path) from exc


def _safe_name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} cannot be used in paths: letters, digits, dot, dash and underscore, at most 63")
    return value


def _first_problem(exc: ValidationError, text: str, path: Path) -> ConfigError:
    problem = exc.errors(include_url=False)[0]
    # pydantic names the chosen union member inside the location; the file has no such level.
    loc = tuple(p for i, p in enumerate(problem["loc"]) if not (i == 2 and problem["loc"][0] == "endpoints" and p == _platform_at(problem)))
    key = _dotted(loc)
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        what, do = f"unknown key `{key}`", _did_you_mean(loc)
    elif kind == "missing":
        what, do = f"missing key `{key}`", None
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        what = f"`{key}.platform` is {given.get('platform')!r}" if isinstance(given, dict) else f"`{key}` is not a table"
        do = "Use one of aws-lambda, cloud-run, runpod, sagemaker, vertex-ai, replicate, export"
    else:
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        shown = "" if kind == "value_error" or isinstance(given, (dict, list)) else f", got {given!r}"
        what = f"`{key}`: {message}{shown}" if kind == "value_error" else f"`{key}` should be {message}{shown}"
        do = None
    return ConfigError(what, where=_spot(path, text, loc), do=do)


def _platform_at(problem: Any) -> str | None:
    return problem["loc"][2] if len(problem["loc"]) > 3 or problem["type"] != "extra_forbidden" else None


def _dotted(loc: tuple[Any, ...]) -> str:
    out = ""
    for part in loc:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else str(part))
    return out or "trial.toml"


def _did_you_mean(loc: tuple[Any, ...]) -> str | None:
    import difflib

    known: set[str] = set(Trial.model_fields) - {"folder"}
    if loc and loc[0] == "endpoints":
        known = {name for model in EndpointBase.__subclasses__() for name in model.model_fields}
    elif len(loc) > 1:
        field = Trial.model_fields.get(str(loc[0]))
        section = field.annotation if field and isinstance(field.annotation, type) else Dedicated
        known = set(getattr(section, "model_fields", {}))
    close = difflib.get_close_matches(str(loc[-1]), sorted(known), n=1)
    return f"Did you mean `{close[0]}`?" if close else None


def _spot(path: Path, text: str, loc: tuple[Any, ...]) -> str:
    line = _line_of(text, loc)
    return f"{path}, line {line}" if line else str(path)


def _line_of(text: str, loc: tuple[Any, ...]) -> int | None:
    """The line of the key at `loc`, or of the closest table above it that the file has."""
    names = [p for p in loc if isinstance(p, str)]
    index = next((p for p in loc if isinstance(p, int)), 0)
    seen, table, best = -1, [], None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]", line)
        if header:
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1] == "[[" and names and table == names[:1]:
                seen += 1
            inside = table == names[: len(table)] and (header[1] == "[" or seen == index)
            best = number if inside else best
            continue
        key = re.match(r"^\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
        if key and (not table or seen in (-1, index)):
            here = table + [part.strip("\"'") for part in key[1].split(".")]
            if here == names[: len(here)]:
                if here == names:
                    return number
                best = number
    return best
