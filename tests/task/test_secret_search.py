"""The search for secrets: random values, planted in every encoding and archive at random places by
other people's encoders, are found and named, and nothing else is. The value is in no output."""

import base64
import gzip
import html
import io
import json
import os
import py_compile
import quopri
import random
import secrets
import string
import struct
import subprocess
import tarfile
import urllib.parse
import zipfile
import zlib

import pytest
import support

TASK = support.COFFER.with_name("coffer-task")
SOAK = os.environ.get("COFFER_SOAK") == "1"


def search(values, *directories):
    """What the program that runs in the box says: (findings, unreadable, totals, all of it)."""
    message = struct.pack("<I", len(values))
    for name, value in values.items():
        message += struct.pack("<II", len(name), len(value)) + name.encode() + value
    done = subprocess.run(
        [TASK, "search", *directories], input=message, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1].get("done") is True
    findings = [line for line in lines if "secret" in line]
    unreadable = {line["unreadable"]: line["why"] for line in lines if "unreadable" in line}
    return findings, unreadable, lines[-1], done.stdout + done.stderr


def found(findings):
    return {(f["path"], f["secret"], f["form"]) for f in findings}


@pytest.fixture
def chance(request):
    seed = int(os.environ.get("COFFER_SEED") or random.randrange(1 << 32))
    print(f"COFFER_SEED={seed}")
    return random.Random(seed)


def noise(chance, length):
    """Text, or bytes that are none."""
    if chance.random() < 0.5:
        return chance.randbytes(length)
    letters = string.ascii_letters + string.digits + " \n\"'=:,;/%&\\<>{}"
    return "".join(chance.choices(letters, k=length)).encode()


def around(chance, data, most=400_000):
    return noise(chance, chance.randrange(most)) + b" " + data + b" " + noise(chance, 5000)


# Encodings: each takes bytes and gives bytes.


def percent_some(chance, value):
    out = b""
    for byte in value:
        case = chance.choice(["%{:02x}", "%{:02X}", "%25{:02x}"])
        plain = chr(byte) not in "%" and chance.random() < 0.5
        out += bytes([byte]) if plain else case.format(byte).encode()
    return out


def escape_some(chance, value):
    forms = ["\\u{:04x}", "\\u{:04X}", "\\x{:02x}", "\\{:03o}", "\\u{{{:x}}}", "\\U{:08x}"]
    out = ""
    for byte in value:
        plain = chr(byte) not in "\\\"'" and chance.random() < 0.5
        out += chr(byte) if plain else chance.choice(forms).format(byte)
    return out.encode()


def entities_some(chance, value):
    forms = ["&#{};", "&#x{:x};", "&#X{:X};", "&#0{};", "&amp;#{};"]
    out = ""
    for byte in value:
        plain = chr(byte) not in "&" and chance.random() < 0.5
        out += chr(byte) if plain else chance.choice(forms).format(byte)
    return out.encode()


def within(chance, value):
    """With something before it in the same group of an encoder's."""
    return chance.randbytes(chance.randrange(7)) + value + chance.randbytes(chance.randrange(7))


def lines_of(width):
    def cut(data):
        return b"\n".join(data[i : i + width] for i in range(0, len(data), width))

    return cut


def od_bytes(value, separator, template):
    return separator.join(template.format(byte) for byte in value).encode()


ENCODINGS = {
    "plain": [lambda c, v: v],
    "percent-encoded": [
        percent_some,
        lambda c, v: "".join(f"%{b:02X}" for b in v).encode(),
        lambda c, v: urllib.parse.quote(v + b"/ ?", safe="").encode(),
    ],
    "escaped": [
        escape_some,
        lambda c, v: json.dumps("".join(f"{chr(b)}" for b in v)).replace("/", "\\/").encode(),
        lambda c, v: json.dumps(json.dumps({"k": v.decode("latin-1")})).encode(),
        lambda c, v: "".join(f"\\x{b:02x}" for b in v).encode(),
        lambda c, v: "".join(f"\\u{b:04x}" for b in v).encode(),
    ],
    "HTML entities": [
        entities_some,
        lambda c, v: html.escape(v.decode("latin-1")).encode("latin-1"),
        lambda c, v: "".join(f"&#{b};" for b in v).encode(),
    ],
    "quoted-printable": [
        lambda c, v: "".join(f"={b:02X}" for b in v).encode(),
        lambda c, v: quopri.encodestring(b"x" * c.randrange(60, 76) + v),
    ],
    "base64": [
        lambda c, v: base64.b64encode(within(c, v)),
        lambda c, v: base64.b64encode(within(c, v)).rstrip(b"="),
        lambda c, v: base64.urlsafe_b64encode(within(c, v)),
        lambda c, v: base64.encodebytes(c.randbytes(c.randrange(90)) + v),
        lambda c, v: lines_of(64)(base64.b64encode(c.randbytes(c.randrange(90)) + v)),
        lambda c, v: json.dumps(base64.encodebytes(within(c, v) * 2).decode()).encode(),
        lambda c, v: urllib.parse.quote(base64.b64encode(within(c, v)), safe="").encode(),
        lambda c, v: b"Authorization: Basic " + base64.b64encode(b"user:" + v),
    ],
    "base64 of base64": [
        lambda c, v: base64.b64encode(within(c, base64.b64encode(within(c, v)))),
    ],
    "base64 of UTF-16": [
        lambda c, v: base64.b64encode(within(c, v.decode("latin-1").encode("utf-16-le"))),
    ],
    "hex": [
        lambda c, v: v.hex().encode(),
        lambda c, v: v.hex().upper().encode(),
        lambda c, v: v.hex(":").encode(),
        lambda c, v: od_bytes(v, ", ", "0x{:02X}"),
        lambda c, v: od_bytes(v, " ", "{:02x}"),
        lambda c, v: lines_of(60)(within(c, v).hex().encode()),
    ],
    "decimal bytes": [
        lambda c, v: json.dumps(list(within(c, v))).encode(),
        lambda c, v: json.dumps(list(within(c, v)), indent=1).encode(),
    ],
    "base32": [
        lambda c, v: base64.b32encode(within(c, v)),
        lambda c, v: base64.b32encode(within(c, v)).lower(),
    ],
    "base85": [
        lambda c, v: base64.b85encode(within(c, v)),
        lambda c, v: base64.a85encode(within(c, v), wrapcol=72),
    ],
    "UTF-16": [
        lambda c, v: v.decode("latin-1").encode("utf-16-le"),
        lambda c, v: v.decode("latin-1").encode("utf-16-be"),
    ],
    "UTF-32": [
        lambda c, v: v.decode("latin-1").encode("utf-32-le"),
        lambda c, v: v.decode("latin-1").encode("utf-32-be"),
    ],
    "reversed": [lambda c, v: v[::-1]],
}

# Of encoders that write plain what needs no escape: for a value of letters that is the plain form.
MAY_BE_PLAIN = {"percent-encoded", "escaped", "HTML entities", "quoted-printable"}


def random_value(chance):
    kind = chance.randrange(4)
    if kind == 0:
        letters = string.ascii_letters + string.digits
    elif kind == 1:
        letters = string.ascii_letters + string.digits + "-_"
    elif kind == 2:
        letters = string.ascii_letters + string.digits + "+/=."
    else:
        letters = "".join(chr(i) for i in range(33, 127))
    return "".join(chance.choices(letters, k=chance.randrange(14, 60))).encode()


@pytest.mark.timeout(180)
def test_every_encoding_is_found(tmp_path, chance):
    for turn in range(20 if SOAK else 3):
        values = {f"SECRET_{i}": random_value(chance) for i in range(4)}
        expected = {}
        directory = tmp_path / str(turn)
        directory.mkdir()
        for form, encoders in ENCODINGS.items():
            for i, encode in enumerate(encoders):
                name = chance.choice(list(values))
                path = f"{form.replace(' ', '_')}-{i}"
                data = encode(chance, values[name])
                (directory / path).write_bytes(around(chance, data))
                expected[path] = (name, form)
        findings, unreadable, totals, said = search(values, directory)
        got = found(findings)
        for path, (name, form) in expected.items():
            forms = {f for p, n, f in got if (p, n) == (path, name)}
            wanted = {form, "plain"} if form in MAY_BE_PLAIN else {form}
            assert forms & wanted, f"{path}: {name} {values[name]} is not found ({forms})"
        assert {(p, n) for p, n, _ in got} == {(p, n) for p, (n, _) in expected.items()}
        assert totals["files"] == len(expected)
        for value in values.values():
            assert value not in said


# Archives: each puts data into a file below directory, and returns the path that is told.


def zip_with(method, streamed=False, extra=b""):
    def make(directory, name, data):
        class Unseekable(io.RawIOBase):
            def __init__(self, file):
                self.file = file

            def writable(self):
                return True

            def write(self, piece):
                return self.file.write(piece)

        with open(directory / name, "wb") as file:
            file.write(extra)
            with zipfile.ZipFile(Unseekable(file) if streamed else file, "w", method) as archive:
                archive.writestr("other.txt", b"nothing here")
                with archive.open("in/side.txt", "w", force_zip64=streamed) as member:
                    member.write(data)
        return f"{name}!in/side.txt"

    return make


def tar_with(mode, format=tarfile.PAX_FORMAT, member="in/side.txt"):
    def make(directory, name, data):
        with tarfile.open(directory / name, mode, format=format) as archive:
            for path, content in [("other", b"x" * 700), (member, data), ("last", b"")]:
                info = tarfile.TarInfo(path)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return f"{name}!{member}"

    return make


def gzip_twice(directory, name, data):
    (directory / name).write_bytes(gzip.compress(b"first member") + gzip.compress(data))
    return name


def zlib_in_something(directory, name, data):
    (directory / name).write_bytes(b"%PDF-1.4\nstream\n" + zlib.compress(data) + b"\nendstream")
    return name


def git_object(directory, name, data):
    support.git(directory, "init", "-q", name)
    done = subprocess.run(
        ["git", "-C", directory / name, "hash-object", "-w", "--stdin"],
        input=data, capture_output=True, check=True,
    )
    digest = done.stdout.decode().strip()
    return f"{name}/.git/objects/{digest[:2]}/{digest[2:]}"


def git_pack(directory, name, data):
    """Two versions of a file, so that one of them is a delta; the value is in only one."""
    support.git(directory, "init", "-q", name)
    where = directory / name
    base = "".join(f"line {i} of some text that is long\n" for i in range(2000)).encode()
    for content in [base, base[:9000] + data + base[9000:]]:
        (where / "file").write_bytes(content)
        support.git(where, "add", "file")
        support.git(where, "commit", "-q", "-m", "message")
    (where / "file").unlink()
    support.git(where, "repack", "-a", "-d", "-f", "-q")
    return f"{name}/.git/objects/pack/"


def pyc(directory, name, data):
    source = directory / f"{name}.py"
    source.write_text(f"def f():\n    return {data[:60].decode('latin-1')!r}\n")
    compiled = directory / f"{name}.pyc"
    py_compile.compile(str(source), cfile=str(compiled), doraise=True)
    source.unlink()
    return f"{name}.pyc"


ARCHIVES = {
    "gzip": lambda d, n, data: ((d / n).write_bytes(gzip.compress(data)), n)[1],
    "gzip-1": lambda d, n, data: ((d / n).write_bytes(gzip.compress(data, 1)), n)[1],
    "gzip-twice": gzip_twice,
    "zlib": lambda d, n, data: ((d / n).write_bytes(zlib.compress(data, 9)), n)[1],
    "zlib-small-window": lambda d, n, data: (
        (d / n).write_bytes(
            (lambda z: z.compress(data) + z.flush())(zlib.compressobj(6, zlib.DEFLATED, 10))
        ),
        n,
    )[1],
    "zlib-within": zlib_in_something,
    "zip-deflated": zip_with(zipfile.ZIP_DEFLATED),
    "zip-stored": zip_with(zipfile.ZIP_STORED),
    "zip-streamed": zip_with(zipfile.ZIP_DEFLATED, streamed=True),
    "zip-behind-a-program": zip_with(zipfile.ZIP_DEFLATED, extra=b"#!/bin/sh\n" * 99),
    "tar": tar_with("w"),
    "tar-gz": tar_with("w:gz"),
    "tar-old": tar_with("w:gz", tarfile.USTAR_FORMAT),
    "tar-long-name": tar_with("w:gz", tarfile.GNU_FORMAT, "long/" * 40 + "name"),
    "tar-pax-name": tar_with("w:gz", tarfile.PAX_FORMAT, "n\u00e4me/" * 40 + "name"),
    "git-object": git_object,
    "git-pack": git_pack,
    "pyc": pyc,
}


@pytest.mark.timeout(180)
def test_archives_are_opened(tmp_path, chance):
    value = secrets.token_urlsafe(24).encode()
    expected = {}
    for name, make in ARCHIVES.items():
        text = "".join(chance.choices(string.printable, k=chance.randrange(99, 60_000))).encode()
        data = value if name == "pyc" else text + value + text[::-1]
        expected[name] = make(tmp_path, name, data)
    findings, unreadable, _, said = search({"TOKEN": value}, tmp_path)
    plain = {f["path"] for f in findings if f["secret"] == "TOKEN" and f["form"] == "plain"}
    for name, path in expected.items():
        if name == "git-pack":
            assert any(p.startswith(path) and "!object" in p for p in plain), (name, plain)
        else:
            assert path in plain, (name, path, plain)
    assert not unreadable
    assert value not in said


def test_archives_within_archives(tmp_path):
    value = b"in the innermost of all: " + secrets.token_hex(12).encode()
    data = value
    path = ""
    for level in range(3):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{level}", data)
        inner = gzip.compress(buffer.getvalue())
        path = f"!{level}" + path
        data = inner
    (tmp_path / "nested").write_bytes(data)
    findings, _, _, _ = search({"A": value}, tmp_path)
    assert ("nested" + path, "A", "plain") in found(findings)
    for _ in range(12):
        # With something that is worth compressing: else deflate stores what it gets as it is.
        data = gzip.compress(b"and so on, " * 400 + data)
    (tmp_path / "nested").write_bytes(data)
    findings, unreadable, _, _ = search({"A": value}, tmp_path)
    assert not findings
    assert unreadable == {"nested": "nests too many archives"}


def test_a_bomb_is_bounded(tmp_path):
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(200)) + zeros.flush()
    (tmp_path / "bomb").write_bytes(gzip.compress(bomb, 9))
    value = b"a value that nobody has"
    (tmp_path / "other").write_bytes(value)
    findings, unreadable, _, _ = search({"A": value}, tmp_path)
    assert found(findings) == {("other", "A", "plain")}
    assert unreadable == {"bomb": "comes to too much when unpacked"}


def test_names_links_and_attributes(tmp_path):
    value = "v-" + secrets.token_hex(10)
    inside = tmp_path / "root" / "sub"
    inside.mkdir(parents=True)
    (inside / f"a-{value}-b").mkdir()
    (inside / f"a-{value}-b" / "innocent").write_text("nothing")
    (inside / "link").symlink_to(f"/x/{value.upper()}/{value}")
    (inside / "hex").symlink_to(value.encode().hex())
    (inside / "file").write_text("")
    try:
        os.setxattr(inside / "file", "user.note", value.encode())
        attributes = {("sub/file", "A", "plain")}
    except OSError:
        attributes = set()
    findings, _, _, said = search({"A": value.encode()}, tmp_path / "root")
    assert found(findings) == {
        ("sub/[A]", "A", "plain"),
        ("sub/link", "A", "plain"),
        ("sub/hex", "A", "hex"),
    } | attributes
    assert value.encode() not in said


def test_a_name_of_a_member_is_searched(tmp_path):
    value = "v-" + secrets.token_hex(10)
    tar_with("w:gz", tarfile.USTAR_FORMAT, "p" * 90 + f"/{value}/x")(tmp_path, "old.tgz", b"")
    tar_with("w:gz", tarfile.PAX_FORMAT, "p" * 99 + f"/{value}/x")(tmp_path, "pax.tgz", b"")
    findings, _, _, said = search({"A": value.encode()}, tmp_path)
    assert {path.partition("!")[0] for path, _, _ in found(findings)} == {"old.tgz", "pax.tgz"}
    assert value.encode() not in said


def test_what_cannot_be_searched_is_told(tmp_path):
    value = b"some value or other"
    whole = gzip.compress(secrets.token_bytes(5000))
    (tmp_path / "cut.gz").write_bytes(whole[:3000])
    (tmp_path / "broken.gz").write_bytes(whole[:2000] + b"\xff" * 99 + whole[2099:])
    (tmp_path / "a.xz").write_bytes(b"\xfd7zXZ\0\0\4" + bytes(30))
    (tmp_path / "words").write_bytes(b"BZhivago was a doctor")
    _, unreadable, _, _ = search({"A": value}, tmp_path)
    assert unreadable == {
        "cut.gz": "is packed, and ends early",
        "broken.gz": "is packed, and broken",
        "a.xz": "is compressed with xz, which is not searched",
    }


@pytest.mark.timeout(180)
def test_no_false_alarms(chance):
    """A tree that everybody has, against values that nobody has."""
    values = {f"S{i}": random_value(chance) for i in range(8)}
    values["SHORT"] = secrets.token_hex(4).encode()
    tree = "/usr/lib/python3" if SOAK else "/usr/lib/python3/dist-packages"
    findings, _, totals, _ = search(values, tree)
    assert totals["files"] > 100
    assert not findings


def test_a_secret_of_many_lines(tmp_path):
    key = (
        "-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + "\n".join(secrets.token_urlsafe(52) for _ in range(30))
        + "\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    value = key.encode()
    indented = "key: |\n" + "".join(f"    {line}\n" for line in key.splitlines())
    (tmp_path / "indented").write_text(indented)
    (tmp_path / "windows").write_text(key.replace("\n", "\r\n").rstrip())
    (tmp_path / "json").write_text(json.dumps({"key": key}))
    (tmp_path / "base64").write_bytes(base64.encodebytes(value))
    findings, _, _, _ = search({"KEY": value}, tmp_path)
    got = found(findings)
    assert {("indented", "KEY", "plain"), ("windows", "KEY", "plain")} <= got
    assert {("json", "KEY", "escaped"), ("base64", "KEY", "base64")} <= got
