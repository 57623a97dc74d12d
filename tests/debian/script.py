#!/usr/bin/python3 -sE
"""A script: its first line names the interpreter."""
import os
import sys

print(sys.argv, sys.flags.no_user_site, os.path.realpath(sys.executable))
for number, line in enumerate(sys.stdin):
    print(number, line.strip().upper(), file=sys.stderr)
with open("/tmp/left", "x") as file:
    os.fchmod(file.fileno(), 0o640)
    print("behind", file=file)
sys.exit(3)
