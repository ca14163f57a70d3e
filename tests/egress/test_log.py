"""Each decision is in the log, or the log says that some are not."""

import json

ALLOWED = "allowed.coffer-world.com"
TRIES = 3000


def run(net, workspace, tries, tmp_path):
    log = tmp_path / "log"
    code = f"""
import socket
for i in range({tries}):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("9.9.%d.%d" % (i // 250, i % 250), 81))
    s.close()
socket.socket().connect_ex(("1.2.3.4", 4444))
"""
    done = net("python3", "-c", code, allow=[ALLOWED], flags=["--net-log", log]).ok()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    recorded = sum(line["count"] for line in lines if line["verdict"] == "deny")
    return done.report["network"], [line for line in lines if line["way"] == "lost"], recorded


def test_a_flood_hides_nothing_in_silence(net, workspace, tmp_path):
    network, lost, recorded = run(net, workspace, TRIES, tmp_path)
    if recorded <= TRIES:
        assert lost and "missing" in lost[0]["reason"]
        assert network["log_complete"] is False
        assert network["refused"] == recorded


def test_what_is_few_is_all_there(net, workspace, tmp_path):
    network, lost, recorded = run(net, workspace, 50, tmp_path)
    assert recorded == 51
    assert not lost and network["log_complete"] is True
