"""What keys and tokens look like: one table, for the prompt scanner and for the log, which masks."""

import math
import re

# (what it is, the expression; its group `key`, or all of it, is the secret). Each has a prefix or a
# shape that its issuer documents or that its scanners agree on; none needs to look far ahead.
FORMATS = [
    ("private key", r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    ("PuTTY private key", r"PuTTY-User-Key-File-\d: "),
    ("age secret key", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    ("AWS access key id", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (
        "AWS secret access key",
        r"(?i)aws_?(?:secret)?_?(?:access)?_?key['\"]?\s{0,4}[=:]\s{0,4}['\"]?"
        r"(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
    ("GitHub fine-grained token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}"),
    ("GitLab token", r"\bgl(?:pat|oas|dt|rt|ptt|ft|soat|agent|imt)-[A-Za-z0-9_-]{20,128}"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}|\bxapp-\d-[A-Za-z0-9-]{20,250}"),
    (
        "Slack webhook",
        r"https://hooks\.slack\.com/(?:services|workflows)/(?P<key>[A-Za-z0-9/_-]{20,200})",
    ),
    (
        "Discord webhook",
        r"https://(?:\w{1,10}\.)?discord(?:app)?\.com/api/webhooks/(?P<key>\d{5,20}/[\w-]{40,90})",
    ),
    ("Stripe key", r"\b(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,250}"),
    ("Anthropic key", r"\bsk-ant-[A-Za-z0-9]{2,10}-[A-Za-z0-9_-]{24,250}"),
    ("OpenAI key", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,250}|\bsk-[A-Za-z0-9]{40,64}\b"),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("Google OAuth secret", r"\bGOCSPX-[0-9A-Za-z_-]{28}"),
    ("Google access token", r"\bya29\.[0-9A-Za-z_-]{30,500}"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{50,500}"),
    ("RubyGems key", r"\brubygems_[0-9a-f]{48}\b"),
    ("crates.io token", r"\bcio[A-Za-z0-9]{32}\b"),
    ("Docker Hub token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{27,40}"),
    ("SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("Mailgun key", r"\bkey-[0-9a-f]{32}\b"),
    ("Mailchimp key", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    ("Twilio key", r"\bSK[0-9a-f]{32}\b"),
    ("Telegram bot token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("Shopify token", r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b"),
    ("Square token", r"\bsq0(?:atp|csp|idp)-[0-9A-Za-z_-]{22,43}"),
    ("DigitalOcean token", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    ("Databricks token", r"\bdapi[0-9a-f]{32}\b"),
    ("HashiCorp Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,300}"),
    ("Terraform Cloud token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,80}"),
    ("Pulumi token", r"\bpul-[0-9a-f]{40}\b"),
    ("Doppler token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}\b"),
    ("Linear key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,64}\b"),
    ("Notion token", r"\bntn_[A-Za-z0-9]{40,60}\b|\bsecret_[A-Za-z0-9]{43}\b"),
    ("Atlassian token", r"\bATATT3[A-Za-z0-9_=-]{100,300}"),
    ("New Relic key", r"\bNRAK-[A-Z0-9]{27}\b"),
    ("Grafana token", r"\bgl(?:c|sa)_[A-Za-z0-9+/=_]{32,400}"),
    ("Sentry token", r"\bsntry[su]_[A-Za-z0-9+/=_]{40,400}"),
    ("Azure storage key", r"AccountKey=(?P<key>[A-Za-z0-9+/]{86}==)"),
    ("1Password token", r"\bops_eyJ[A-Za-z0-9+/=_-]{100,2000}"),
    (
        "JSON Web Token",
        r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000}",
    ),
    (
        "password in a URL",
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"]{1,64}:(?P<key>[^\s/@'\"$<{]{6,128})@[\w.\[-]",
    ),
    (
        "secret that is assigned",
        r"(?i)\b[\w.-]{0,40}(?:api_?key|secret|token|passw(?:or)?d|credential)[\w-]{0,20}['\"]?"
        r"\s{0,4}(?:=|:|:=|=>)\s{0,4}['\"]?(?P<key>[A-Za-z0-9/+_=.!@#%^&*-]{16,200})",
    ),
]

# By how random the characters must be, in bits for each, not to be a word or a name.
BITS = {"secret that is assigned": 3.6, "password in a URL": 2.0}
DEFAULT_BITS = 2.5

PLACEHOLDERS = re.compile(
    r"(?i)example|placeholder|your[_-]|change[_-]?me|redacted|x{6}|\.\.\.|process\.env|os\.environ"
)

COMPILED = [(kind, re.compile(expression)) for kind, expression in FORMATS]


def bits_per_character(text):
    counts = [text.count(character) for character in set(text)]
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def is_secret(kind, key):
    """Whether what looks like one may be one, and is no stand-in from somebody's documentation."""
    if kind.endswith("private key"):
        return True
    if PLACEHOLDERS.search(key):
        return False
    return bits_per_character(key) >= BITS.get(kind, DEFAULT_BITS)


def find(text):
    """(kind, start, end) of each secret, in the order in which they stand. Of those that overlap the
    first counts, and of those that begin at one place the first of the table."""
    candidates = []
    for rank, (kind, expression) in enumerate(COMPILED):
        for match in expression.finditer(text):
            start, end = match.span("key" if "key" in expression.groupindex else 0)
            if is_secret(kind, text[start:end]):
                candidates.append((start, rank, end, kind))
    found, taken = [], 0
    for start, _, end, kind in sorted(candidates):
        if start >= taken:
            found.append((kind, start, end))
            taken = end
    return found


def mask(text):
    """The text with each secret's kind in its place. Of a private key, everything up to its end."""
    parts, at = [], 0
    for kind, start, end in find(text):
        if start < at:
            continue
        if kind.endswith("private key"):
            footer = re.compile(r"-----END [A-Z0-9 ]{0,40}-----|Private-MAC: \w+").search(text, end)
            end = footer.end() if footer else len(text)
        parts += [text[at:start], f"[{kind}]"]
        at = end
    return "".join(parts) + text[at:]
