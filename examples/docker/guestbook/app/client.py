"""usage: client.py URL read | client.py URL write TEXT"""

import sys
import urllib.request

url, command, *text = sys.argv[1:]
data = " ".join(text).encode() if command == "write" else None
with urllib.request.urlopen(url, data=data, timeout=10) as answer:
    sys.stdout.write(answer.read().decode())
