"""The AsyncAPI 3 document of our topics, whole in itself: channels, keys, headers and what the records hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tocsin.stream import wire
from tocsin.stream.contract.schema import RECORDS, Schema, parts
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "1"  # of the topics, not of the program
DEFINED: Final = "#/components/schemas/{name}"

ABOUT: Final[Mapping[str, str]] = {
    ARTICLES: "News items as feeds told them, one record for each revision.",
    READINGS: "What the rules found in an article; a reading replaces every earlier one of the same article.",
    ALERTS: "Steps of incidents worth telling, in order for each incident. This is the topic for other programs.",
    DEAD_LETTERS: "Records that were set aside, with the reason; told again each time a replay fails.",
}
KEYS: Final[Mapping[str, str]] = {
    ARTICLES: "The id of the article: all its revisions lie in one partition, in order.",
    READINGS: "The id of the article.",
    ALERTS: "The id of the incident: all its alerts lie in one partition, in order.",
    DEAD_LETTERS: "The id of the dead letter.",
}


def asyncapi() -> dict[str, Any]:
    """Return the document; a topic's address may have a prefix that the operator chose."""
    envelopes, defined = parts(DEFINED)
    names = {topic: RECORDS[topic].__name__ for topic in RECORDS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tocsin: the topics",
            "version": VERSION,
            "description": (
                "What Tocsin puts on Apache Kafka in cluster mode. Each message is a CloudEvent 1.0 in binary mode with"
                " a JSON value. Delivery is at least once: forget what has a `ce_id` that you have seen on that topic."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {names[topic]: _channel(topic, names[topic]) for topic in RECORDS},
        "operations": {
            f"put{name}": {
                "action": "send",
                "summary": ABOUT[topic],
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
            }
            for topic, name in names.items()
        },
        "components": {
            "messages": {names[topic]: _message(topic, names[topic]) for topic in RECORDS},
            "schemas": {
                **{f"{names[topic]}Headers": _headers(topic) for topic in RECORDS},
                **{f"{names[topic]}Envelope": envelope for topic, envelope in envelopes.items()},
                **defined,
            },
        },
    }


def _channel(topic: str, name: str) -> Schema:
    return {
        "address": topic,
        "description": f"{ABOUT[topic]} An operator may have put a prefix before the topic's name.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["delete"]}, "bindingVersion": "0.5.0"}},
    }


def _message(topic: str, name: str) -> Schema:
    return {
        "name": wire.TYPES[topic],
        "title": name,
        "summary": ABOUT[topic],
        "contentType": "application/json",
        "headers": {"$ref": DEFINED.format(name=f"{name}Headers")},
        "payload": {"$ref": DEFINED.format(name=f"{name}Envelope")},
        "bindings": {"kafka": {"key": {"type": "string", "description": KEYS[topic]}, "bindingVersion": "0.5.0"}},
    }


def _headers(topic: str) -> Schema:
    """Say what `wire.headers` gives; each is text in UTF-8."""
    told: dict[str, Schema] = {
        wire.SPEC_VERSION: {"const": "1.0"},
        wire.ID: {"minLength": 1, "description": "The record's id: the same one again on this topic is a duplicate."},
        wire.SOURCE: {"const": wire.SOURCES[topic], "format": "uri-reference"},
        wire.TYPE: {"const": wire.TYPES[topic]},
        wire.TIME: {"format": "date-time", "description": "When the record was put on the topic."},
        wire.SUBJECT: {"minLength": 1, "description": KEYS[topic]},
        wire.CONTENT_TYPE: {"const": "application/json"},
    }
    return {
        "type": "object",
        "description": "CloudEvents 1.0, Kafka binding, binary mode.",
        "properties": {name: {"type": "string", **shape} for name, shape in told.items()},
        "required": [name for name in told if name != wire.SUBJECT],
    }
