"""Parses a file of OTLP JSON with the protocol's own schema, and prints it as the parser has understood it: parse-otlp.py FILE

A field that the schema doesn't know, or a value of another type, is an error. The JSON encoding of OTLP differs from that of protobuf in the
ids, which are hexadecimal and not base64.
"""

import base64
import json
import sys

from google.protobuf.json_format import MessageToDict, Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def recoded(pairs):
    for index, (key, value) in enumerate(pairs):
        if key in IDS:
            assert value == value.lower(), f"{key}: {value} is not in lower case"
            octets = bytes.fromhex(value)
            assert len(octets) == IDS[key], f"{key}: {value} has {len(octets)} bytes"
            pairs[index] = (key, base64.b64encode(octets).decode())
        if key in ("kind", "code"):
            assert type(value) is int, f"{key}: {value} is not a number"
        if key.endswith("UnixNano") or key == "intValue":
            assert type(value) is str, f"{key}: {value} is not a string"
    assert len({key for key, _ in pairs}) == len(pairs), f"a name twice: {pairs}"
    return dict(pairs)


[line] = open(sys.argv[1], encoding="utf-8").read().splitlines()
request = Parse(json.dumps(json.loads(line, object_pairs_hook=recoded)), ExportTraceServiceRequest(), ignore_unknown_fields=False)
for resource in request.resource_spans:
    for scope in resource.scope_spans:
        for span in scope.spans:
            assert span.end_time_unix_nano >= span.start_time_unix_nano > 0, span
print(json.dumps(MessageToDict(request)))
