"""An agent that works by the skills that its task requires: it ticks off their points one by one."""
import json
import sys

asked = json.load(sys.stdin)
points = {}
for skill in asked["skills"]:
    lines = skill["body"].splitlines()
    points[skill["name"]] = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
print(json.dumps({"task": (asked["params"] or {}).get("task"), "looked_at": points}, ensure_ascii=False))
