"""The running service without its HTTP interface: the parts that the API and the command line share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version

from anyio import CapacityLimiter

from app.addresses import parse_networks
from app.forecasting.forecast import Forecasting
from app.forecasting.forecast_store import ForecastStore
from app.forecasting.request_panel import PanelReader
from app.forecasting.session import SessionForecasts
from app.oidc import OidcRules, TokenVerifier, fetch_json
from app.rates import RateLimiter
from app.serving.alias_refresher import AliasRefresher
from app.serving.batcher import Batcher
from app.serving.cached_check import CachedCheck
from app.serving.fair_threads import FairThreads
from app.serving.forecast_log import ForecastLog
from app.serving.interval_scales import IntervalScales
from app.serving.key_use import KeyUse
from app.serving.model_cache import ModelCache, device_for
from app.serving.panel_cache import PanelCache
from app.serving.quota_book import QuotaBook
from app.serving.session_cache import SessionCache
from app.serving.shadows import ShadowForecaster
from app.serving.usage_meter import UsageMeter
from app.serving.version_resolver import Resolver
from app.settings import Settings
from app.store import keys, quotas, usage
from app.store.db import Database, DatabaseDamaged, DatabaseUnreachable
from app.store.job_watch import JobWatch
from app.store.schema import find_mismatch
from app.telemetry import Figure, Telemetry, Traces, lines_dropped
from app.tenant_slots import TenantSlots

FULL = "its disk is full, so nothing can be stored; free space on it"  # it answers what only reads
NEWER = "ok; it has the schema of a newer release, by which this process is to be replaced"
MAX_WAITING = 64  # requests of one tenant that wait for their turn to write, and as many that wait to upload
THREAD_PATIENCE_S = 15.0  # of a request that waits for its turn


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """Parts of one running service, built by ``create_service``."""

    settings: Settings
    database: Database
    forecasting: Forecasting
    models: ModelCache
    aliases: AliasRefresher
    telemetry: Telemetry
    traces: Traces
    watch: JobWatch
    stream_slots: TenantSlots
    writes: FairThreads  # requests that write
    uploads: FairThreads  # tables and bundles, which are parsed and written
    lookups: FairThreads  # addresses of webhooks
    database_state: CachedCheck[str]
    key_use: KeyUse
    tokens: TokenVerifier | None  # None: only keys are accepted
    quotas: QuotaBook
    limiter: RateLimiter
    meter: UsageMeter

    def close(self) -> None:
        """Answer waiting requests, end the threads, and close the database connections."""
        self.watch.stop()
        self.forecasting.close()
        self.traces.close()
        self.key_use.close()
        self.quotas.close()
        self.meter.close()
        self.database.dispose()


def create_service(settings: Settings) -> Service:
    """Return the parts of the service, for the API and for the command line."""
    database, telemetry = Database(settings.url, quotas=settings.quotas), Telemetry(version("forecastle"))
    meter = UsageMeter(partial(_record_usage, database))
    book = QuotaBook(settings.rates, partial(_overrides, database))
    device = device_for(settings.engine, settings.device, settings.threads)
    store = ForecastStore(database)
    models = ModelCache(store.bundle, device, settings.cache_bytes)
    resolver = Resolver(store, models)
    shadows = ShadowForecaster(store.challenger, models.load)
    log = ForecastLog(settings.forecast_log_share, store.log, shadows.forecast if settings.shadows else None)
    panels = PanelCache(settings.data_cache_bytes)
    reader = PanelReader(database, panels, settings.max_rows)
    batcher = Batcher(settings.max_waiting, telemetry)
    session_cache = SessionCache(
        settings.session_bytes, settings.session_ttl_s, telemetry, max_each=settings.max_sessions
    )
    traces = Traces(settings.traces_url, "api")
    telemetry.watch(*figures(models, resolver.aliases, log), *_queue_figures(database, batcher, panels))
    dropped = "Spans dropped because the collector did not take them."
    telemetry.watch(Figure("forecastle_spans_dropped_total", dropped, lambda: traces.dropped))
    forecasting = Forecasting(
        settings=settings,
        resolver=resolver,
        models=models,
        scales=IntervalScales(store.interval_scales if settings.adapt_intervals else lambda _: {}),
        reader=reader,
        sessions=SessionForecasts(settings, database, session_cache, reader),
        batcher=batcher,
        log=log,
        telemetry=telemetry,
        slots=CapacityLimiter(settings.forecast_threads),
    )
    return Service(
        settings=settings,
        database=database,
        forecasting=forecasting,
        models=models,
        aliases=resolver.aliases,
        telemetry=telemetry,
        traces=traces,
        watch=JobWatch(
            database, TenantSlots(settings.max_watchers, settings.max_watchers_per_tenant, "watchers of jobs")
        ),
        stream_slots=TenantSlots(settings.max_streams, settings.max_streams_per_tenant, "streams"),
        writes=FairThreads("writes", threads=8, share=6, max_waiting=MAX_WAITING, patience_s=THREAD_PATIENCE_S),
        uploads=FairThreads("uploads", threads=4, share=2, max_waiting=MAX_WAITING, patience_s=THREAD_PATIENCE_S),
        lookups=FairThreads("look-ups of host names", threads=8, share=2, max_waiting=8, patience_s=THREAD_PATIENCE_S),
        database_state=CachedCheck(lambda: _database_state(database), late="it does not answer"),
        key_use=KeyUse(lambda used: _record_key_use(database, used)),
        tokens=_token_verifier(settings),
        quotas=book,
        limiter=RateLimiter(book.policies, taken=meter.add),
        meter=meter,
    )


def _token_verifier(settings: Settings) -> TokenVerifier | None:
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    rules = OidcRules(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        tenant_claim=settings.oidc_tenant_claim,
        scope_claim=settings.oidc_scope_claim,
        leeway_s=settings.oidc_leeway_s,
    )
    return TokenVerifier(rules, partial(fetch_json, private=parse_networks(settings.oidc_private_networks)))


def _record_key_use(database: Database, used: Mapping[str, datetime]) -> None:
    with database.write() as session:
        keys.record_use(session, used)


def _record_usage(database: Database, used: Mapping[int, Mapping[str, float]]) -> None:
    with database.write() as session:
        usage.record(session, used)


def _overrides(database: Database) -> Mapping[int, Mapping[str, str]]:
    with database.read() as session:
        return quotas.overrides(session)


def _database_state(database: Database) -> str:
    try:
        mismatch = find_mismatch(database)
        if mismatch is not None and not mismatch.is_newer:
            return mismatch.message
        if not database.has_room():
            return FULL
        return "ok" if mismatch is None else NEWER  # a newer schema has all that this release reads and writes
    except DatabaseDamaged:
        return "it is damaged; restore a backup of it into an empty database"
    except DatabaseUnreachable:
        return "it does not answer"


def figures(models: ModelCache, aliases: AliasRefresher, log: ForecastLog) -> list[Figure]:
    """Return the counts of the parts as metrics."""
    return [
        Figure("forecastle_log_lines_dropped_total", "Log lines dropped because nobody read them.", lines_dropped),
        Figure("forecastle_models_loaded", "Models in memory.", lambda: models.counts().models),
        Figure("forecastle_models_loaded_bytes", "Memory of these models.", lambda: models.counts().size_bytes),
        Figure("forecastle_models_loading", "Models being loaded.", lambda: models.counts().loading),
        Figure("forecastle_model_hits_total", "Look-ups of models in memory.", lambda: models.counts().hits),
        Figure("forecastle_model_misses_total", "Look-ups of other models.", lambda: models.counts().misses),
        Figure("forecastle_model_loads_total", "Models loaded.", lambda: models.counts().loads),
        Figure("forecastle_model_load_failures_total", "Failed loads.", lambda: models.counts().failures),
        Figure("forecastle_model_evictions_total", "Models evicted.", lambda: models.counts().evictions),
        Figure("forecastle_model_load_seconds_total", "Time of all loads.", lambda: models.counts().load_seconds),
        Figure("forecastle_alias_moves_total", "Followed alias moves.", lambda: aliases.moves().followed),
        Figure("forecastle_alias_failures_total", "Failed alias moves.", lambda: aliases.moves().failed),
        Figure("forecastle_forecasts_logged_total", "Forecasts logged.", lambda: log.counts().kept),
        Figure(
            "forecastle_forecasts_not_logged_total",
            "Forecasts not logged.",
            lambda: log.counts().dropped,
        ),
        Figure(
            "forecastle_aliases_fallen_back",
            "Aliases serving an older version.",
            lambda: aliases.moves().fallen_back,
        ),
    ]


def _queue_figures(database: Database, batcher: Batcher, panels: PanelCache) -> list[Figure]:
    return [
        Figure(
            "forecastle_forecasts_waiting",
            "Forecasts that wait for their turn, by lane.",
            lambda: [((lane,), count) for lane, count in batcher.waiting().items()],
            ("lane",),
        ),
        Figure("forecastle_panels_loaded", "Data sets in memory.", lambda: panels.counts().panels),
        Figure("forecastle_panels_loaded_bytes", "Memory of these data sets.", lambda: panels.counts().size_bytes),
        Figure("forecastle_panel_hits_total", "Look-ups of data sets in memory.", lambda: panels.counts().hits),
        Figure("forecastle_panel_misses_total", "Look-ups of other data sets.", lambda: panels.counts().misses),
        Figure(
            "forecastle_database_connections",
            "Connections to the database, by pool and use.",
            lambda: database.connections().items(),
            ("pool", "use"),
        ),
    ]
