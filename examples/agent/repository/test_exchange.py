import unittest

from exchange import convert, load_rates


class Exchange(unittest.TestCase):
    def test_there_and_back(self):
        rates = {"EUR": 1.0, "USD": 1.25}
        self.assertEqual(convert(100, "EUR", "USD", rates), 125.0)
        self.assertEqual(convert(125, "USD", "EUR", rates), 100.0)

    def test_today(self):
        rates = load_rates()
        self.assertEqual(convert(10, "EUR", "CHF", rates), 9.4)


if __name__ == "__main__":
    unittest.main()
