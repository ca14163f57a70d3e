"""The gate's analysis against bash itself.

Scripts are run by bash in a box, under strace. Every program that was started must be among the
parts that `coffer gate parts` had found before, with the words that it had found, or the analysis
must have called the script undecidable. The scripts: scripts/tricky.txt, and more from a seeded
grammar.
"""

import ast
import json
import os
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import support

HERE = Path(__file__).resolve().parent
GENERATED = 80

# Stand-ins that do nothing: whatever a script does with them is harmless.
STAND_INS = [f"p{i}" for i in range(1, 10)] + "rm curl ssh sudo docker".split()


def tricky():
    text = (HERE / "scripts" / "tricky.txt").read_bytes()
    return [script + b"\n" for script in text.split(b"\n%%\n") if script.strip()]


class Grammar:
    """Scripts by chance: commands in everything that can hold a command, a few levels deep."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *ways):
        return self.random.choice(ways)

    def program(self):
        return self.random.choice(STAND_INS[:9])

    def literal(self):
        return self.pick(
            *["a", "'b c'", '"d e"', "f\\ g", "$'h\\ti'", "''", "k=v", "{l,m}", "#", "-n"]
        )

    def word(self, depth):
        if depth <= 0:
            return self.pick(self.literal(), "$x", '"$x"', "${x:-y}", "$#")
        inner = self.command(depth - 1)
        return self.pick(
            self.literal(),
            f"$({inner})",
            f'"$({inner})"',
            f'"z$({inner})z"',
            f"`{self.program()} a`",
            f"${{x:-$({inner})}}",
            f'"${{x:-$({inner})}}"',
            f"<({inner})",
            f"$(( $({inner}; echo 1) + 1 ))",
            f"{self.literal()}$({inner})",
        )

    def simple(self, depth):
        words = [self.program()] + [self.word(depth) for _ in range(self.random.randrange(3))]
        prefix = self.pick("", "", "", f"y={self.word(depth)} ", ">out ", "time ")
        suffix = self.pick("", "", " >out", " 2>&1", " </dev/null", f" <<< {self.word(depth)}")
        wrapper = self.pick("", "", "", "nice ", "env A=b ", "timeout 5 ", "command ", "nohup ")
        return prefix + (wrapper if prefix != "time " else "") + " ".join(words) + suffix

    def command(self, depth):
        if depth <= 0:
            return self.simple(0)
        a, b = self.command(depth - 1), self.command(depth - 1)
        return self.pick(
            self.simple(depth),
            self.simple(depth),
            f"{a} && {b}",
            f"{a} || {b}",
            f"{a} | {b}",
            f"! {self.simple(depth)}",
            f"{a}; {b}",
            f"{{ {a}; }}",
            f"( {a} )",
            f"if {a}; then {b}; fi",
            f"for i in {self.word(0)} 1; do {a}; done",
            f"while {a}; do {b}; break; done",
            f"case {self.word(depth - 1)} in a|b) {a};; *) {b};; esac",
            f"f() {{ {a}; }}; f",
            f"[[ -n {self.word(0)} ]] && {{ {a}; }}",
            f"eval {self.quoted(a)}",
            f"bash -c {self.quoted(a)}",
            f"cat <<E\n{self.literal()} $({b})\nE\n{a}",
            f"cat <<'E' | {self.program()}\n$({b})\nE\n{a}",
        )

    @staticmethod
    def quoted(text):
        return "'" + text.replace("'", "'\\''") + "'"

    def script(self):
        lines = [self.command(self.random.randrange(1, 4)) for _ in range(3)]
        return ("\n".join(lines) + "\nwait\n").encode()


@dataclass
class Run:
    """What one script started: the program and the words it was given."""

    started: list = field(default_factory=list)


LINE = re.compile(r"^(\d+) +(.*)$")
EXECVE = re.compile(r'^execve\("((?:[^"\\]|\\.)*)", \[(.*)\], .*\) += 0$')
FORK = re.compile(r"^(?:clone3?|v?fork)\(.*\) += (\d+)$")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def unescape(text):
    return ast.literal_eval(f'b"{text}"')


def calls(trace):
    """(pid, call) with what strace tells in two halves put together."""
    halves = {}
    for line in trace.split("\n"):
        match = LINE.match(line)
        if not match:
            continue
        pid, call = int(match[1]), match[2]
        if call.endswith("<unfinished ...>"):
            halves[pid] = call.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"^<\.\.\. \w+ resumed>(.*)$", call)
        yield pid, halves.pop(pid, "") + resumed[1] if resumed else call


def read_trace(trace):
    """By script: what bash started for it. A child belongs to the script of its parent; it may be
    heard of before its parent's fork has returned."""
    parents, executed = {}, []
    for pid, call in calls(trace):
        fork, execve = FORK.match(call), EXECVE.match(call)
        if fork:
            parents[int(fork[1])] = pid
        if execve:
            words = [unescape(word) for word in STRING.findall(execve[2])]
            executed.append((pid, os.path.basename(unescape(execve[1])), words))
    roots, runs = {}, {}
    for pid, program, words in executed:
        if program == b"bash" and len(words) == 2 and words[1].endswith(b".script"):
            roots[pid] = Path(words[1].decode()).stem
            runs[roots[pid]] = Run()
            continue
        while pid not in roots and pid in parents:
            pid = parents[pid]
        if pid in roots:
            runs[roots[pid]].started.append((program, words))
    return runs


def fits(part, program, words):
    """Whether this was foreseen: the same words, as far as they were known."""
    found = [word.encode() for word in part["argv"]]
    if part.get("kind", "command") != "command":
        return False
    if not found or os.path.basename(found[0]) != program:
        return False
    for i, known in enumerate(part["known"]):
        if not known:
            return True
        if i >= len(words) or (i > 0 and found[i] != words[i]):
            return False
    return len(found) == len(words)


def faults(analysis, run):
    """What ran and was not foreseen."""
    if any(part.get("undecidable") for part in analysis["parts"]) or "syntax" in analysis:
        return []
    return [
        (program, words)
        for program, words in run.started
        # The shell between `flock -c` and its commands is no part: what it runs is.
        if not (program == b"sh" and words[:2] == [b"/bin/sh", b"-c"])
        and not any(fits(part, program, words) for part in analysis["parts"])
    ]


def analyze(script):
    result = subprocess.run(
        [support.COFFER, "gate", "parts", "--json", "-C", script.parent, "--script", script],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode in (0, 1, 2), result.stderr
    return json.loads(result.stdout)


DRIVER = """
for script in scripts/*.script; do
	mkdir -p here && cd here
	timeout -s KILL 10 bash ../$script </dev/null >/dev/null 2>&1
	cd .. && chmod -R u+rwX here && command rm -rf here
done
"""


def run_all(run_coffer, directory, scripts):
    (directory / "scripts").mkdir()
    for name, script in scripts.items():
        (directory / "scripts" / f"{name}.script").write_bytes(script)
    (directory / "bin").mkdir()
    for name in STAND_INS:
        (directory / "bin" / name).symlink_to("/bin/true")
    (directory / "driver").write_text(DRIVER.replace("command rm", "/bin/rm"))
    trace = "trace=execve,clone,clone3,fork,vfork"
    result = run_coffer(
        *["run", "--mode", "workspace-write", "--"],
        *["env", f"PATH={directory}/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"],
        *["strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096"],
        *["-e", trace, "-e", "signal=none", "-o", "trace"],
        *["sh", "driver"],
        cwd=directory,
        timeout=120,
    ).ok()
    assert result.code == 0
    return read_trace((directory / "trace").read_text(encoding="utf-8", errors="replace"))


@pytest.mark.timeout(150)
def test_bash_starts_nothing_that_was_not_foreseen(run_coffer, workspace):
    grammar = Grammar(4)
    scripts = {f"t{i:03}": script for i, script in enumerate(tricky())}
    scripts |= {f"g{i:03}": grammar.script() for i in range(GENERATED)}
    directory = workspace / "differential"
    directory.mkdir()
    runs = run_all(run_coffer, directory, scripts)
    assert set(runs) == set(scripts)
    found, decided, started = [], 0, 0
    for name, script in scripts.items():
        analysis = analyze(directory / "scripts" / f"{name}.script")
        started += len(runs[name].started)
        decided += not any(part.get("undecidable") for part in analysis["parts"])
        for program, words in faults(analysis, runs[name]):
            found.append(f"{name}: {program} {words}\n{script.decode(errors='replace')}")
    assert not found, "\n".join(found)
    # An analysis that calls everything undecidable would pass: it must not.
    assert started > 1000
    assert decided > len(scripts) * 0.5, f"{decided} of {len(scripts)}"


def test_the_comparison_sees_what_is_missing():
    trace = (
        '1 execve("/bin/bash", ["bash", "x/t1.script"], 0x1 /* 1 var */) = 0\n'
        "1 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>\n"
        '2 execve("/w/bin/p1", ["p1", "a\\tb"], 0x1 /* 1 var */) = 0\n'
        "1 <... clone resumed>, child_tidptr=0x7f) = 2\n"
        '2 execve("/nowhere/p2", ["p2"], 0x1 /* 1 var */) = -1 ENOENT (No such file or directory)\n'
    )
    runs = read_trace(trace)
    assert runs["t1"].started == [(b"p1", [b"p1", b"a\tb"])]
    p1 = {"argv": ["p1", "a\tb"], "known": [True, True]}
    assert not faults({"parts": [p1]}, runs["t1"])
    assert not faults({"parts": [{"argv": ["p1", "$x"], "known": [True, False]}]}, runs["t1"])
    unknown = {"argv": ["$x"], "known": [False], "undecidable": True}
    assert not faults({"parts": [unknown]}, runs["t1"])
    assert faults({"parts": [{**p1, "kind": "function"}]}, runs["t1"])
    for wrong in (["p1"], ["p1", "a"], ["p2", "a\tb"], ["p1", "a\tb", "c"]):
        part = {"argv": wrong, "known": [True] * len(wrong)}
        assert faults({"parts": [part]}, runs["t1"]), wrong
    assert faults({"parts": []}, runs["t1"])
