#!/usr/bin/python3
"""Plays an agent that mends a failing test through `coffer session`, and the host that it lives in.

    agent.py [--record FILE]

The repository below repository/ is copied, given to git, and worked on: the agent finds out why the
tests fail, asks for a network host once, is refused to write outside once, writes the fix and sees
the tests pass. Nobody thinks here: what an agent's model would decide is written down in work().
What counts is the conversation, which --record writes as a document. Exit status 0: the tests pass,
and nothing but the repository was changed.

COFFER names the program; by default it is `coffer` in PATH.
"""

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
COFFER = os.environ.get("COFFER", "coffer")


class Host:
    """An agent's host: one JSON object a line, each way. Approvals are answered by approve()."""

    def __init__(self, directory, approve):
        self.approve = approve
        self.conversation = []  # (who, message) and (None, a remark)
        self.last = 0
        self.process = subprocess.Popen(
            [COFFER, "session", "-C", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def remark(self, text):
        self.conversation.append((None, text))

    def send(self, message):
        self.conversation.append(("host", message))
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("coffer session ended")
        message = json.loads(line)
        self.conversation.append(("coffer", message))
        return message

    def call(self, method, **params):
        """Sends a request; serves what comes until it is answered."""
        self.last += 1
        number = self.last
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            message = self.receive()
            if message.get("method") == "approval/request":
                answer = self.approve(message["params"]["request"])
                self.send({"jsonrpc": "2.0", "id": message["id"], "result": answer})
            elif message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise SystemExit(f"{method}: {message['error']}")
                return message["result"]

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def user(request):
    """The person in front of the host: the network once, nothing outside of the repository."""
    if request["category"] == "network":
        return {"decision": "once", "reason": "that is the team's page"}
    return {"decision": "no", "reason": "keep it in the repository"}


def work(host, address, outside):
    """What the agent does. True: the tests pass."""
    host.remark("The session begins: what holds is in the answer.")
    host.call("session/start", approval="on-request")
    host.remark("The user's own words go through the hooks, and are kept for the reviewer.")
    host.call(
        "prompt/submit",
        prompt=f"Make the tests pass. Today's rates are at http://{address}/rates.json.",
    )
    host.remark("The agent looks at what fails. Output comes while the command runs.")
    test = ["python3", "-B", "-m", "unittest", "-q"]
    if host.call("tool/exec", command=test, call="tests")["exit"] == 0:
        raise SystemExit("the tests do not fail: there is nothing to do")
    host.call("tool/read", path="exchange.py")
    host.remark("The rates are missing. The box has no network, so the agent asks for the host.")
    fetch = [
        "python3",
        "-c",
        "import urllib.request as r; "
        f"print(r.urlopen('http://{address}/rates.json').read().decode(), end='')",
    ]
    rates = host.call(
        "tool/exec",
        command=fetch,
        call="fetch",
        asks={"net": [address]},
        justification="The rates that the tests need are there, as the user said.",
    )
    if rates["exit"] != 0:
        raise SystemExit(f"the rates could not be fetched: {rates}")
    host.call("tool/write", path="rates.json", content=rates["stdout"]["text"])
    host.remark("A copy for later, outside of the repository: that is refused, with a reason.")
    copy = host.call(
        "tool/exec",
        command=["cp", "rates.json", f"{outside}/rates.json"],
        call="copy",
        asks={"write": [str(outside)]},
        justification="So that the rates need not be fetched again.",
    )
    if copy["cause"] != "refused":
        raise SystemExit("the write outside was not refused")
    host.remark("Without it, then. The conversion itself is upside down: the agent mends it.")
    source = host.call("tool/read", path="exchange.py")["text"]
    wrong, right = "rates[source] / rates[target]", "rates[target] / rates[source]"
    host.call("tool/write", path="exchange.py", content=source.replace(wrong, right))
    host.remark("And the tests pass.")
    done = host.call("tool/exec", command=test, call="tests again")
    host.remark("What the host shows to the user at the end.")
    host.call("tool/diff")
    host.call("session/stop", reason="done")
    return done["exit"] == 0


def make_repository(directory):
    shutil.copytree(HERE / "repository", directory)
    git = ["git", "-c", "user.name=Agent", "-c", "user.email=agent@example.org", "-C", directory]
    for arguments in [["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all"]]:
        subprocess.run([*git, *arguments], check=True)


def serve_rates(directory):
    """The team's page: a server on the host's loopback."""
    directory.mkdir()
    (directory / "rates.json").write_text('{"EUR": 1.0, "CHF": 0.94, "USD": 1.08}\n')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def record(conversation, names, file):
    """The conversation as a document, without what differs from one run to the next."""
    blocks, lines = [], []

    def flush():
        if lines:
            blocks.append("```json\n" + "\n".join(lines) + "\n```\n")
            lines.clear()

    for who, message in conversation:
        if who is None:
            flush()
            blocks.append(message + "\n")
            continue
        text = json.dumps(steady(message), ensure_ascii=False)
        for name, stands_for in names:
            text = text.replace(name, stands_for)
        lines.append(re.sub(r"\b[0-9a-f]{24,32}\b", "0123456789abcdef", text))
    flush()
    head = (HERE / "head.md").read_text()
    file.write_text(head + "\n" + "\n".join(blocks))


def steady(value, key=None):
    """The message with numbers that say how long or how much set to 0."""
    if isinstance(value, dict):
        return {k: steady(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [steady(v, key) for v in value]
    varying = key and (key.endswith("_ms") or key in USAGE)
    if varying and isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0
    if key == "text" and isinstance(value, str):
        return re.sub(r"in \d+\.\d+s", "in 0.000s", value)
    return value


USAGE = {
    "memory_peak_bytes",
    "pids_peak",
    "io_read_bytes",
    "io_write_bytes",
    "disk_bytes",
    "pid",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--record", type=Path, help="write the conversation there")
    parser.add_argument("--messages", type=Path, help="write its messages there, as JSON lines")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="coffer-agent-", dir=Path.home()))
    try:
        repository, outside = place / "exchange", place / "elsewhere"
        outside.mkdir()
        make_repository(repository)
        server = serve_rates(place / "page")
        address = f"host.coffer.internal:{server.server_port}"
        host = Host(repository, user)
        passed = work(host, address, outside)
        code = host.close()
        if options.messages:
            options.messages.write_text(
                "".join(json.dumps(m) + "\n" for who, m in host.conversation if who)
            )
        if options.record:
            names = [(str(place), "/home/me"), (address, "host.coffer.internal:8000")]
            names.append((str(Path.home()), "/home/me"))
            record(host.conversation, names, options.record)
        clean = not list(outside.iterdir())
        print("the tests pass" if passed else "the tests fail")
        return 0 if passed and clean and code == 0 else 1
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
