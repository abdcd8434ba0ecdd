"""Lists the steps of a profile that a config property asked for, process by process: steps.py TRACE [--times]"""

import json
import sys

trace = json.load(open(sys.argv[1]))
names = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
for event in sorted((e for e in trace["traceEvents"] if e.get("cat") == "purpose"), key=lambda e: (e["tid"], e["ts"])):
    if not event["args"]["pointer"]:
        continue
    time = f"{event['dur']:9.1f} us  " if "--times" in sys.argv else ""
    print(f"{time}{names[event['tid']]}: {event['name']}  {event['args']['pointer']}")
