"""Prints the spans of a profile in the format otlp as a tree, without the operations that no property asked for: spans.py FILE [--times]"""

import json
import sys

[resource] = json.load(open(sys.argv[1]))["resourceSpans"]
[scope] = resource["scopeSpans"]
children = {}
for span in scope["spans"]:
    children.setdefault(span.get("parentSpanId"), []).append(span)


def show(span, depth):
    attributes = {each["key"]: each["value"] for each in span["attributes"]}
    pointer = attributes.get("runts.config.pointer", {}).get("stringValue", "")
    if pointer == "" and span["spanId"] not in children:
        return
    took = int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])
    time = f"{took / 1000:9.1f} us  " if "--times" in sys.argv else ""
    print(f"{time}{'  ' * depth}{span['name']}  {pointer}".rstrip())
    for child in children.get(span["spanId"], []):
        show(child, depth + 1)


show(scope["spans"][0], 0)
