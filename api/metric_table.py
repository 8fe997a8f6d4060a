"""Every number that a process of the server shows to Prometheus: its name, its labels and what it means.

A name that ends with ``_total`` is a counter, one in ``HISTOGRAMS`` a histogram, any other a gauge. The names go
without the prefix ``quietwater_``. ``docs/observability.md`` shows this table to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "quietwater_"

Labelled = Mapping[tuple[str, ...], float]
"""Values by those of the labels, in the order of the table."""
Numbers = Mapping[str, float | Labelled]
"""What a part tells: one value, or one for each set of labels, by name."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a number means, and its labels."""

    meaning: str
    labels: tuple[str, ...] = ()


_API: Final[Mapping[str, Described]] = {
    "http_request_seconds": Described("Duration of requests by operation and class of status.",
                                      ("operation", "status")),
    "http_refused_total": Described("Requests refused for coming too often (429), by operation.", ("operation",)),
    "live_clients": Described("Open event streams."),
    "live_messages_total": Described("Messages put into the queues of event streams."),
    "live_dropped_total": Described("Messages that slow event streams did not get."),
    "live_events_dropped_total": Described("Live events that came faster than they could be sent."),
    "sites": Described("Quarters."),
    "devices": Described("Enabled devices by state.", ("state",)),
    "alerts": Described("Alerts by state.", ("state",)),
    "quarantined": Described("What lies in quarantine, by reason.", ("code",)),
    "deliveries": Described("Messages to people by state: queued, sent, failed, skipped.", ("state",)),
    "outbox_depth_sum": Described("Readings that wait in devices' outboxes, as the devices last told."),
    "outbox_depth_max": Described("The fullest outbox, readings."),
    "newest_reading_lag_seconds": Described("Time of the data minus that of the newest stored reading."),
    "certificate_first_expiry_timestamp_seconds": Described(
        "When the first enabled device that comes by certificate has none left that counts, Unix time."),
}  # fmt: skip
_FLEET: Final[Mapping[str, Described]] = {
    "device_online": Described("1 while the device is online, 0 while it is not.", ("site", "device")),
    "device_last_seen_timestamp_seconds": Described("When the device's newest status came, Unix time.",
                                                    ("site", "device")),
    "device_outbox_depth": Described("Readings in the device's outbox.", ("site", "device")),
    "device_clock_offset_seconds": Described("The device's clock minus true time, as it knows it.",
                                             ("site", "device")),
    "device_temperature_celsius": Described("Temperature of the device's processor.", ("site", "device")),
    "device_disk_free_bytes": Described("Free space on the device's disk.", ("site", "device")),
    "devices_by_version": Described("Enabled devices by the version that they run; the rarest are 'other'.",
                                    ("version",)),
    "devices_left_out": Described("Devices without numbers of their own, because there are too many."),
}  # fmt: skip
_INGEST: Final[Mapping[str, Described]] = {
    "ingest_connected": Described("1 while the broker's messages come in, 0 while they do not."),
    "ingest_messages_total": Described("Messages received from the broker and dealt with."),
    "ingest_readings_in_total": Described("Readings in these messages, good and bad."),
    "ingest_readings_by_kind_total": Described("Good readings in these messages, by kind.", ("kind",)),
    "ingest_readings_stored_total": Described(
        "Readings that the series store took; a second copy counts again and changes nothing."),
    "ingest_readings_late_total": Described(
        "Readings stored more than two minutes after their time: backlogs of outages."),
    "ingest_quarantined_total": Described("Messages and readings put into quarantine."),
    "ingest_quarantined_by_code_total": Described(
        "The same by reason; 'in_future' and 'too_old' are those with an impossible time.", ("code",)),
    "ingest_statuses_total": Described("Statuses of devices."),
    "ingest_batches_total": Described("Batches committed."),
    "ingest_batch_seconds_total": Described("Time spent on these batches, from judging to acknowledging."),
    "ingest_batch_readings": Described("Readings in the newest batch."),
    "ingest_waiting": Described("Messages in ingest's queue."),
    "ingest_queue_bound": Described("Messages that ingest's queue holds at most."),
    "ingest_unacknowledged": Described("Messages in the queue and in the batch under way: not acknowledged yet."),
    "ingest_paused_total": Described("How often the queue was full and nothing more was read."),
    "ingest_repeated_total": Described("Messages that the broker sent again while they were in our hands."),
    "ingest_connects_total": Described("Connections to the broker."),
    "ingest_answers_lost_total": Described("Answers to devices that could not be sent."),
    "ingest_newest_stored_timestamp_seconds": Described(
        "Time of the newest reading that was stored, Unix time; clocks that are ahead do not count."),
    "ingest_lag_seconds": Described("Time of the data minus that of the newest reading that this process stored."),
    "ingest_store_away_seconds": Described(
        "For how long the store has not taken what arrived; 0 while it does."),
    "ingest_store_retries_total": Described("Batches that had to be tried again."),
    "ingest_errors_total": Described("Failures of ingest that it survived."),
}  # fmt: skip
_ANALYSIS: Final[Mapping[str, Described]] = {
    "analysis_rule_round_seconds": Described("Duration of the newest round over all rules."),
    "analysis_rules": Described("Rules in the newest round."),
    "analysis_bad_rules": Described("Rules in it that could not be judged."),
    "analysis_rounds_total": Described("Rounds over all rules."),
    "analysis_round_age_seconds": Described("Time since the newest round that succeeded."),
    "analysis_transitions_total": Described("Changes of state of alerts."),
    "analysis_rule_errors_total": Described("Rounds that failed."),
    "analysis_store_waits_total": Described("Rounds and rollups for which a store did not answer."),
    "analysis_hours_rolled_up_total": Described("Hour rows written."),
    "analysis_rollup_errors_total": Described("Rollups that failed."),
    "analysis_rollup_age_seconds": Described("Time since the newest rollup that succeeded."),
    "analysis_sites_held": Described("Sites that this process judges: those whose leases it holds."),
    "analysis_leases_gained_total": Described("Leases that it took: of sites, of messages and of housekeeping."),
    "analysis_leases_given_up_total": Described("Leases that it gave back so that others have their share."),
    "analysis_leases_lost_total": Described("Leases that went to another process while it was paused or cut off."),
    "analysis_lease_errors_total": Described("Heartbeats that failed."),
    "analysis_lease_age_seconds": Described("Time since the newest heartbeat that succeeded."),
    "analysis_writes_refused_total": Described(
        "Sightings that were not written because their site had gone to another process."),
    "analysis_messages_sent_total": Described("Messages to people that were sent."),
    "analysis_messages_failed_total": Described("Tries to send a message to somebody that failed."),
    "analysis_messages_given_up_total": Described("Messages to people that were given up."),
    "analysis_delivery_errors_total": Described("Failures of delivery that it survived."),
}  # fmt: skip
_AROUND: Final[Mapping[str, Described]] = {
    "broker_running": Described("1 while the embedded broker's process runs."),
    "broker_restarts_total": Described("How often the embedded broker ended and was started again."),
    "broker_resident_memory_bytes": Described("Memory of the embedded broker's process."),
    "backup_newest_timestamp_seconds": Described("When the newest backup of this data folder was whole, Unix time."),
    "uplink_connected": Described("1 while the uplink's other side is reached.", ("uplink",)),
    "uplink_waiting": Described("What waits in the uplink's queue.", ("uplink",)),
    "uplink_acknowledged_total": Described("Rows that the platform acknowledged (HJ 212).", ("uplink",)),
    "uplink_published_total": Described("Messages that were published (Home Assistant).", ("uplink",)),
    "uplink_dropped_total": Described("What a full queue gave up.", ("uplink",)),
    "uplink_resent_total": Described("Messages that were sent again for want of an answer (HJ 212).", ("uplink",)),
    "uplink_bad_frames_total": Described("Frames of the platform that could not be read (HJ 212).", ("uplink",)),
}  # fmt: skip

METRICS: Final[Mapping[str, Described]] = {
    "build_info": Described("1, with the version that runs.", ("version",)),
    **_API, **_FLEET, **_INGEST, **_ANALYSIS, **_AROUND,
}  # fmt: skip
HISTOGRAMS: Final = frozenset({"http_request_seconds"})


def kind_of(name: str) -> Literal["counter", "gauge", "histogram"]:
    """Return Prometheus' type of a number."""
    if name in HISTOGRAMS:
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"
