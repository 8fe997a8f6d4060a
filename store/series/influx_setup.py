"""Making the databases on an InfluxDB server, each generation in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from store.series.influx_http import InfluxAddress, InfluxHttp, LinesRefused
from store.series.interface import StoreUnavailable
from store.series.retention import Retention

_DAY_S: Final = 86_400
_FOREVER: Final = 0
# Shards hold what is read together and is deleted as a whole.
_SHARD: Final = {"seconds": "1d", "minutes": "7d", "lasting": "52w"}


def init_store(address: InfluxAddress, retention: Retention) -> list[str]:
    """Make the databases with their retention, or set it on those that are there; return what was done.

    Doing it again is safe. Raises ``StoreUnavailable`` with the cause.
    """
    http = InfluxHttp(address)
    try:
        generation = http.version().generation
        if generation == "2":
            return list(_buckets(http, retention))
        if generation == "3":
            return list(_databases_of_3(http, retention))
        if generation == "1":
            return list(_databases_of_1(http, retention))
        names = ", ".join(name for name, _, _ in _plan(http, retention))
        raise StoreUnavailable(
            f"{address.url} does not say that it is InfluxDB; make the databases {names} by its own means"
        )
    except LinesRefused as error:
        raise StoreUnavailable(f"{address.url} refuses to make a database: {error}") from error
    finally:
        http.close()


def _plan(http: InfluxHttp, retention: Retention) -> Iterator[tuple[str, int, str]]:
    """Name, days to keep (0 for ever) and length of a shard of each database."""
    address = http.address
    yield address.seconds, retention.seconds_days or _FOREVER, _SHARD["seconds"]
    yield address.minutes, retention.minutes_days or _FOREVER, _SHARD["minutes"]
    yield address.lasting, _FOREVER, _SHARD["lasting"]


def _databases_of_1(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    for name, days, shard in _plan(http, retention):
        duration = f"{days}d" if days else "INF"
        http.command(f'CREATE DATABASE "{name}"')
        # Every database has its "autogen" policy; altering it works the first time and each time after.
        http.command(
            f'ALTER RETENTION POLICY "autogen" ON "{name}" DURATION {duration} SHARD DURATION {shard} DEFAULT'
        )
        yield f"database {name}, kept {_told(days)}"


def _buckets(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    organisations = http.client.organizations_api().find_organizations(org=http.address.org)
    if not organisations:
        raise StoreUnavailable(
            f"{http.address.url} knows no organisation {http.address.org!r}; set QUIETWATER_INFLUX_ORG"
        )
    org_id = organisations[0].id
    for name, days, _ in _plan(http, retention):
        rules = [{"type": "expire", "everySeconds": days * _DAY_S}] if days else []
        bucket = http.client.buckets_api().find_bucket_by_name(name)
        if bucket is None:
            body = {"orgID": org_id, "name": name, "retentionRules": rules}
            bucket_id = msgspec.json.decode(http.request("/api/v2/buckets", "POST", body))["id"]
        else:
            bucket_id = bucket.id
            http.request(f"/api/v2/buckets/{bucket_id}", "PATCH", {"retentionRules": rules})
        # InfluxQL asks for a database: this makes the bucket answer to that name.
        mapping = {
            "orgID": org_id, "bucketID": bucket_id, "database": name, "retention_policy": "autogen", "default": True,
        }  # fmt: skip
        try:
            http.request("/api/v2/dbrps", "POST", mapping)
        except LinesRefused as error:
            if "already exists" not in str(error):
                raise
        yield f"bucket {name}, kept {_told(days)}"


def _databases_of_3(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    for name, days, _ in _plan(http, retention):
        body: dict[str, object] = {"db": name}
        if days:
            body["retention_period"] = f"{days}d"
        try:
            http.request("/api/v3/configure/database", "POST", body)
        except LinesRefused as error:
            if "already exists" not in str(error):
                raise
        except StoreUnavailable as error:
            if "409" not in str(error):
                raise
        yield f"database {name}, kept {_told(days)}"


def _told(days: int) -> str:
    return f"{days} days" if days else "for ever"
