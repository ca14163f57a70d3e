"""A host of `coffer session`: sends requests, answers approvals, keeps every message."""

import json
import queue
import subprocess
import threading
import time

import support


class Failed(Exception):
    """An error that was answered. code is JSON-RPC's, name the stable word."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]
        self.name = error["data"]["code"]
        self.hint = error["data"]["hint"]


class Pending:
    """A request under way."""

    def __init__(self, session, number):
        self.session = session
        self.number = number
        self.done = threading.Event()
        self.message = None

    def wait(self, seconds=5):
        if not self.done.wait(seconds * support.SLOWDOWN):
            raise AssertionError(f"no answer to {self.number}: {self.session.describe()}")
        if "error" in self.message:
            raise Failed(self.message["error"])
        return self.message["result"]


class Session:
    """answer(request) is asked for each approval: what it returns is the answer; None leaves the
    question open."""

    def __init__(
        self, *flags, cwd=None, env=None, answer=None, verb="session", reader=True, **process
    ):
        self.answer = answer or (lambda request: {"decision": "no", "reason": "nobody agreed"})
        self.messages = []  # (direction, message), in order
        self.notes = queue.Queue()
        self.pending = {}
        self.lock = threading.Lock()
        self.last = 0
        self.questions = []
        self.unclaimed = queue.Queue()  # answers without a request of ours: to garbage
        self.stderr = []
        self.process = subprocess.Popen(
            [str(support.COFFER), verb, *map(str, flags)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
            **process,
        )
        threading.Thread(target=self._log, daemon=True).start()
        if reader:
            self.read()

    def read(self):
        """Begins to read what comes (with reader=False nothing is, until then)."""
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def describe(self):
        tail = [message for _, message in self.messages[-12:]]
        return json.dumps(tail, indent=1)[-6000:] + "\n--- stderr\n" + "".join(self.stderr)[-3000:]

    def send_raw(self, data):
        with self.lock:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def _send(self, message):
        self.messages.append(("host", message))
        self.send_raw(json.dumps(message).encode() + b"\n")

    def begin(self, method, **params):
        with self.lock:
            self.last += 1
            number = self.last
        pending = self.pending[number] = Pending(self, number)
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return pending

    def call(self, method, **params):
        return self.begin(method, **params).wait()

    def start(self, **params):
        return self.call("session/start", **params)

    def run(self, command, **params):
        return self.call("tool/exec", command=command, **params)

    def note(self, method, seconds=10, fits=lambda params: True):
        """The next notification of that method that fits; earlier others are dropped."""
        end = time.monotonic() + seconds * support.SLOWDOWN
        while True:
            try:
                message = self.notes.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {method} came: {self.describe()}") from None
            if message["method"] == method and fits(message["params"]):
                return message["params"]

    def _log(self):
        for line in self.process.stderr:
            self.stderr.append(line.decode(errors="replace"))

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            self.messages.append(("coffer", message))
            for one in message if isinstance(message, list) else [message]:
                self._take(one)

    def _take(self, message):
        if "method" in message and "id" in message:
            self.questions.append(message)
            answer = self.answer(message["params"])
            if answer is not None:
                self.reply(message, answer)
        elif "method" in message:
            self.notes.put(message)
        elif message["id"] in self.pending:
            pending = self.pending[message["id"]]
            pending.message = message
            pending.done.set()
        else:
            self.unclaimed.put(message)

    def reply(self, question, answer):
        kind = "error" if "code" in answer else "result"
        self._send({"jsonrpc": "2.0", "id": question["id"], kind: answer})

    def close(self, seconds=10):
        """The host goes: the process has to end by itself."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(seconds * support.SLOWDOWN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no end after the host's: {self.describe()}") from None


def text(stream):
    """What a result kept of a stream, where it is text throughout."""
    return stream["text"] + (stream["tail"]["text"] if "tail" in stream else "")
