import json
import socket
import time

from analysis.notify.sender import address_fault, send
from tests.analysis.receivers import Mailbox, Webhook


def test_a_webhook_receives_title_and_text(webhook: Webhook) -> None:
    assert send(webhook.url, "静园:噪声超限", "第一行\n第二行").ok
    (told,) = webhook.received
    assert (told["title"], told["message"]) == ("静园:噪声超限", "第一行\n第二行")


def test_a_mail_arrives_as_plain_text(mailbox: Mailbox) -> None:
    assert send(mailbox.url, "Quiet Garden: noise", "line 1\nline 2").ok
    assert mailbox.received[0]["Subject"] == "Quiet Garden: noise"
    assert mailbox.text().splitlines()[:2] == ["line 1", "line 2"]


def test_a_refusal_is_told_with_its_reason(webhook: Webhook) -> None:
    webhook.statuses = [503]
    result = send(webhook.url, "a", "b")
    assert not result.ok and not result.permanent and "503" in result.error


def test_a_server_that_never_answers_costs_no_more_than_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        result = send(f"json://127.0.0.1:{port}/", "a", "b", timeout_s=1.0)
    assert not result.ok and time.monotonic() - began < 30.0


def test_secrets_of_the_address_are_not_told() -> None:
    result = send("mailto://li:topsecret@127.0.0.1:9?smtp=127.0.0.1&from=a@b.org&to=c@d.org", "a", "b")
    assert not result.ok and "topsecret" not in json.dumps(result.error)


def test_an_address_that_is_none_is_given_up_with_the_cure() -> None:
    result = send("nonsense://x", "a", "b")
    assert result.permanent and "json://" in result.error
    assert address_fault("nonsense://x") and not address_fault("json://127.0.0.1/")
