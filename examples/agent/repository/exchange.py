"""Amounts of money from one currency into another."""

import json
from pathlib import Path

RATES = Path(__file__).with_name("rates.json")


def load_rates():
    """What one unit of the base is worth, by currency."""
    return json.loads(RATES.read_text())


def convert(amount, source, target, rates):
    """amount of source in target, rounded to cents."""
    return round(amount * rates[source] / rates[target], 2)
