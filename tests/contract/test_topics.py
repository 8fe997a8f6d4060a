import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.topics import MESSAGE_MODELS, Topic, device_filter, kind_filter, parse
from tests.contract.strategies import slugs


@given(slugs, slugs, st.sampled_from(sorted(MESSAGE_MODELS)))
def test_topics_come_back_as_they_were(site, device, kind):
    topic = Topic(site, device, kind)
    assert parse(str(topic)) == topic


@pytest.mark.parametrize(
    "topic",
    ["", "qw/v1/a/b", "qw/v1/a/b/noise/", "qw/v1/a/b/noise\n", "qw/v2/a/b/noise", "qw/v1/A/b/noise", "qw/v1//b/noise",
     "qw/v1/a/b/loud", "qw/v1/-a/b/noise", "/qw/v1/a/b/noise", "qw/v1/+/b/noise", "qw/v1/a/#", "qw/v1/静园/b/noise",
     f"qw/v1/{'a' * 33}/b/noise"],
)  # fmt: skip
def test_what_is_no_topic_of_ours_is_refused(topic):
    with pytest.raises(ValueError, match="not a topic of the form qw/v1/<site>/<device>/<kind>"):
        parse(topic)


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text):
    with contextlib.suppress(ValueError):
        assert str(parse(text)) == text


def test_filters():
    assert device_filter("quiet-garden", "gate") == "qw/v1/quiet-garden/gate/#"
    assert kind_filter("noise") == "qw/v1/+/+/noise"
