"""What programs use of the standard library: files, numbers, texts, formats."""
import csv
import datetime
import decimal
import fractions
import hashlib
import io
import json
import math
import mmap
import os
import pathlib
import random
import re
import struct
import tempfile
import zipfile


def numbers():
    print([math.sin(x / 7) for x in range(5)], math.factorial(40), math.fsum([0.1] * 10))
    random.seed(1)
    print(random.random(), decimal.Decimal(1) / 7, fractions.Fraction(3, 9))
    print(datetime.date(2024, 2, 29).isoformat())


def texts():
    print(json.dumps({"a": [1, 2, {"b": None}], "c": 1.5e300}, indent=1))
    print(json.loads('[1, "\\u20ac"]'))
    print(struct.pack("<IHq5sd", 1, 2, -3, b"abc", 2.5).hex())
    print(re.findall(r"(\w+)@(\w+)\.com", "a@b.com, cc@dd.com"))
    print(re.sub(r"(?<=a)b+", "X", "abbb ab b"))
    table = io.StringIO()
    csv.writer(table).writerows([[1, "a,b", '"q"'], [2.5, None, "x\ny"]])
    print(table.getvalue())
    for name in ("sha256", "md5", "blake2b"):
        print(name, hashlib.new(name, b"x" * 100_000).hexdigest())


def tree(top):
    (top / "sub").mkdir(parents=True)
    (top / "text").write_text("hello\n" * 1000)
    (top / "sub/bytes").write_bytes(bytes(range(256)))
    os.symlink("text", top / "link")
    os.link(top / "text", top / "hard")
    with zipfile.ZipFile("/tmp/packed.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for directory, _, files in sorted(os.walk(top)):
            for file in sorted(files):
                packed.write(os.path.join(directory, file))
    with zipfile.ZipFile("/tmp/packed.zip") as packed:
        print(packed.namelist(), packed.testzip(), [i.file_size for i in packed.infolist()])
    os.remove("/tmp/packed.zip")
    os.rename(top / "text", top / "renamed")
    os.remove(top / "hard")
    os.chmod(top / "sub", 0o700)
    os.utime(top / "renamed", (1, 2))
    print(os.stat(top / "renamed").st_mtime, sorted(os.listdir(top)))
    print(os.readlink(top / "link"), os.path.exists(top / "link"))


def temporary():
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "x"
        file.write_text("x")
        print(file.stat().st_size, oct(file.stat().st_mode))
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"abc")
        file.flush()
        print(os.stat(file.name).st_size)
    with tempfile.TemporaryFile() as file:
        file.write(b"abc" * 100_000)
        file.seek(0)
        print(len(file.read()))


def mapped(path):
    with open(path, "wb") as file:
        file.truncate(100_000)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[5000:5005] = b"hello"
        memory.flush()
        print(memory.find(b"hello"))
    with open(path, "rb") as file:
        print(file.read()[4998:5008])


numbers()
texts()
tree(pathlib.Path("/tmp/tree"))
temporary()
mapped("/tmp/mapped")
