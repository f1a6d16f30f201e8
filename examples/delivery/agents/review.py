"""An agent that is a script: a question comes in as JSON, the answer goes out as JSON."""
import json
import sys

asked = json.load(sys.stdin)
text = (asked["input"] or {}).get("code", "")
issues = text.count("TODO") + text.count("FIXME")
print(json.dumps({"issues": issues, "quality": max(0.0, 1.0 - issues / 10)}))
