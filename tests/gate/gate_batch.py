"""Many decisions of the gate by one process."""

import json
import os

from support import make_home_directory, make_repository, remove_tree, run_coffer

ON_REQUEST = "on-request"


class Gate:
    """A repository with a home beside it, and `coffer gate` there."""

    def __init__(self, rules=None):
        self.base = make_home_directory()
        self.home = self.base / "home"
        self.work = make_repository(self.base / "work")
        config = self.home / ".config" / "coffer"
        config.mkdir(parents=True)
        if rules:
            (config / "coffer.toml").write_text(rules)
        self.environment = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / ".config",
            "XDG_STATE_HOME": self.home / ".local" / "state",
            "XDG_CACHE_HOME": self.home / ".cache",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        }
        # What tokens this process has must not change what is decided.
        for name in os.environ:
            if name.startswith("GIT_"):
                self.environment[name] = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        remove_tree(self.base)

    def run(self, *args, **keywords):
        keywords = {"cwd": self.work, "env": self.environment, **keywords}
        return run_coffer(*args, **keywords)

    def check(self, *args, **keywords):
        return self.run("gate", "check", *args, **keywords)

    def batch(self, requests, *flags):
        """The decisions about requests: objects with line or argv, and approval, mode, asks."""
        text = "".join(json.dumps(request) + "\n" for request in requests)
        answers = self.check("--batch", *flags, stdin=text).ok().out.splitlines()
        assert len(answers) == len(requests)
        return [json.loads(answer) for answer in answers]


def deciding(answer):
    """The ids of the parts whose verdict is the whole's."""
    return {part["id"] for part in answer["parts"] if part["decision"] == answer["decision"]}
