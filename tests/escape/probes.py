"""What the escape tests make of the output of probe.c."""


def attempts(text):
    """The lines of probe.c: name -> what came of it."""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
