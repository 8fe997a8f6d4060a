"""Making the databases on an InfluxDB server, each generation in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from store.series.address import InfluxAddress
from store.series.influx_http import InfluxHttp, Refused
from store.series.interface import StoreNotSetUp
from store.series.retention import Retention

_DAY_S: Final = 86_400
_CONFLICT: Final = 409
_FOREVER: Final = 0
# Shards hold what is read together and is deleted as a whole.
_SHARD: Final = {"seconds": "1d", "minutes": "7d", "lasting": "52w"}


def init_store(address: InfluxAddress, retention: Retention) -> list[str]:
    """Make the databases with their retention, or set it on those that are there; return what was done.

    Doing it again is safe. Raises ``StoreNotSetUp`` with what a person can mend, and ``StoreUnavailable``.
    """
    http = InfluxHttp(address)
    try:
        generation = http.version().generation
        if generation == "other":
            names = ", ".join(name for name, _, _ in _plan(address, retention))
            raise StoreNotSetUp(
                f"{address.url} does not say that it is InfluxDB; make the databases {names} by its own means"
            )
        make = {"1": _databases_of_1, "2": _buckets, "3": _databases_of_3}[generation]
        return list(make(http, retention))
    except Refused as error:
        raise StoreNotSetUp(f"{address.url} refuses to make a database: {error}") from error
    finally:
        http.close()


def _plan(address: InfluxAddress, retention: Retention) -> Iterator[tuple[str, int, str]]:
    """Name, days to keep (0 for ever) and length of a shard of each database."""
    yield address.seconds, retention.seconds_days or _FOREVER, _SHARD["seconds"]
    yield address.minutes, retention.minutes_days or _FOREVER, _SHARD["minutes"]
    yield address.lasting, _FOREVER, _SHARD["lasting"]


def _databases_of_1(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    for name, days, shard in _plan(http.address, retention):
        duration = f"{days}d" if days else "INF"
        http.command(f'CREATE DATABASE "{name}"')
        # Every database has its "autogen" policy; altering it works the first time and each time after.
        http.command(
            f'ALTER RETENTION POLICY "autogen" ON "{name}" DURATION {duration} SHARD DURATION {shard} DEFAULT'
        )
        yield f"database {name}, kept {_told(days)}"


def _buckets(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    org_id = _organisation(http)
    for name, days, _ in _plan(http.address, retention):
        rules = [{"type": "expire", "everySeconds": days * _DAY_S}] if days else []
        found = _json(http, "/api/v2/buckets", {"orgID": org_id, "name": name})["buckets"]
        if found:
            bucket_id = found[0]["id"]
            http.request(f"/api/v2/buckets/{bucket_id}", "PATCH", body={"retentionRules": rules})
        else:
            made = {"orgID": org_id, "name": name, "retentionRules": rules}
            bucket_id = msgspec.json.decode(http.request("/api/v2/buckets", "POST", body=made))["id"]
        _map(http, org_id, bucket_id, name)
        yield f"bucket {name}, kept {_told(days)}, read as database {name}"


def _organisation(http: InfluxHttp) -> str:
    name = http.address.org
    found = [one for one in _json(http, "/api/v2/orgs", {}).get("orgs", []) if one["name"] == name]
    if not found:
        raise StoreNotSetUp(
            f"{http.address.url} knows no organisation {name!r}; name yours in the store's address: "
            f"{http.address.url}?org=NAME"
        )
    return found[0]["id"]


def _map(http: InfluxHttp, org_id: str, bucket_id: str, name: str) -> None:
    """Have the bucket answer to InfluxQL, which asks for a database."""
    mappings = _json(http, "/api/v2/dbrps", {"orgID": org_id, "db": name}).get("content", [])
    if not any(one["bucketID"] == bucket_id and not one.get("virtual") for one in mappings):
        mapping = {
            "orgID": org_id, "bucketID": bucket_id, "database": name, "retention_policy": "autogen", "default": True,
        }  # fmt: skip
        http.request("/api/v2/dbrps", "POST", body=mapping)


def _databases_of_3(http: InfluxHttp, retention: Retention) -> Iterator[str]:
    for name, days, _ in _plan(http.address, retention):
        body: dict[str, object] = {"db": name}
        if days:
            body["retention_period"] = f"{days}d"
        try:
            http.request("/api/v3/configure/database", "POST", body=body)
        except Refused as error:
            if error.status != _CONFLICT:
                raise
            yield f"database {name} is there already; InfluxDB 3 Core keeps the retention it was made with"
        else:
            yield f"database {name}, kept {_told(days)}"


def _json(http: InfluxHttp, path: str, params: dict[str, str]) -> Any:
    return msgspec.json.decode(http.request(path, "GET", params=params))


def _told(days: int) -> str:
    return f"{days} days" if days else "for ever"
