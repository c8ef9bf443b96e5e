"""One folder per platform: fetch.py asks an API, parse.py understands one event, assemble.py joins facts into invocations."""
