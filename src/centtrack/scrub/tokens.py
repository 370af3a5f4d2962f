"""Secrets and identifiers made of letters: e-mails, sessions, keys, tokens, hashes."""

from __future__ import annotations

import re
import sys

from centtrack.scrub.rules import Rule

# What stands before `@` in user information is a name or a password (RFC 3986, 3.2.1).
_USER_INFORMATION = re.compile(r"://(?P<found>[^\s/?#@]{1,256})@")
# `logo@2x.png` is a picture for fine screens. `%40` is what a third encoding leaves, and U+FF20 is the wide form of @.
# What stands before it may be quoted (RFC 5321, 4.1.2), and then has spaces in it.
_EMAIL = re.compile(
    r"(?:[^\s/?&=;,:<>\"()\[\]@\uff20]{1,64}|\"[^\"@\uff20]{1,64}\")(?:[@\uff20]|%40)(?![1-4](?:\.5)?x\.)"
    r"(?:[^\s/?&=;,:<>\"'()@\uff20]{1,190}\.(?:xn--[0-9A-Za-z-]{2,59}|[^\W\d_]{2,24})|(?i:localhost)(?![\w.-]))"
)
_ASP_SESSION = re.compile(r"[AFS]\((?P<found>[0-9A-Za-z_-]{8,}+)\)")  # ASP.NET without cookies: /(S(…))/
_BEARER = re.compile(r"(?i:bearer)[ +](?P<found>[0-9A-Za-z._~+/-]{8,}+=*+)")  # RFC 6750
# The first `eyJ` (which is `{"` in base64) of each run that ends at a dot: RFC 7519, and RFC 7516 with five parts.
# After a letter it is a part of a word: `SurveyJS`.
_JWT = re.compile(r"(?<![A-Za-z])(?P<found>eyJ[0-9A-Za-z_-]{8,512}+(?:\.[0-9A-Za-z_-]*){1,4})")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{24,}+(?![0-9A-Za-z])")
# A `/` before it may be the path's or its own, so it may begin behind any; what counts is whole fours up to the end.
_BASE64 = re.compile(
    r"(?:(?<![0-9A-Za-z+/])|(?<=/))(?P<found>(?:[0-9A-Za-z+/]{4}){4,64}(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=))(?![0-9A-Za-z=])"
)
_TOKEN = re.compile(r"(?<![0-9A-Za-z_-])[0-9A-Za-z_-]{20,}+={0,2}+")
_IBAN = re.compile(
    r"(?<![0-9A-Za-z])(?:[A-Z]{2}\d{2}[0-9A-Z]{11,30}|[a-z]{2}\d{2}[0-9a-z]{11,30}"
    r"|[A-Z]{2}\d{2}(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,3})?)(?![0-9A-Za-z])",
    re.ASCII,
)
_BOUNDS = ((11, 2.5), (19, 3.0), (29, 4.0), (sys.maxsize, 6.0))  # length at most, mean length of runs
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")  # a word, an abbreviation, a number

# As their makers document them, so that leaked ones can be found. Each begins with letters of its own.
_API_KEY = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[prs]k_(?:live|test)_[0-9A-Za-z]{8,}+|whsec_[0-9A-Za-z+/]{16,}+"  # Stripe
    r"|gh[oprsu]_[0-9A-Za-z]{16,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+"  # GitHub, GitLab
    r"|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"  # AWS
    r"|xox[abeoprs]-\d[\w-]{9,}+|xapp-\d-[\w-]{10,}+"  # Slack
    r"|AIza[\w-]{30,}+|ya29\.[\w-]{10,}+|GOCSPX-[\w-]{20,}+"  # Google
    r"|SG\.[\w-]{16,64}\.[\w-]{16,64}|key-[0-9a-f]{32}"  # SendGrid, Mailgun
    r"|npm_[0-9A-Za-z]{30,}+|pypi-AgE[\w-]{20,}+|hf_[0-9A-Za-z]{30,}+"  # npm, PyPI, Hugging Face
    r"|shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{20,}+|do[opr]_v1_[0-9a-f]{40,}+"  # Shopify, DigitalOcean
    r"|\d{8,10}:[\w-]{35}"  # bots of Telegram
    r")",
    re.ASCII,
)

# In `key=value`, what the key says that the value is.
_KEYED = re.compile(r"(?<![\w.-])(?P<key>[\w.-]{2,40}+)[\"']?[=:][\"']?(?!//)(?P<found>[^\s&;/?#\"'{}]++)")
_KINDS_BY_KEY = {
    "session": "sid sess sessid session sessionid jsessionid phpsessid aspnetsessionid cfid cftoken oscsid zenid",
    "secret": "token accesstoken authtoken idtoken refreshtoken csrftoken xsrftoken password passwd pass pwd passcode "
    "secret clientsecret apikey accesskey auth authorization signature sig otp pin cvv cvc пароль",
    "coordinates": "lat latitude lon lng long longitude ll latlng latlon coord coords coordinates geo",
    "postcode": "zip zipcode postcode postalcode plz индекс",
    "name": "firstname lastname fullname middlename surname patronymic username login имя фамилия отчество фио",
    "phone": "phone phonenumber tel mobile msisdn телефон",
    "email": "email mail",
    "iin": "iin иин жсн",
    "card": "card cardnumber pan",
    "iban": "iban",
}
_KIND_OF_KEY = {key: kind for kind, keys in _KINDS_BY_KEY.items() for key in keys.split()}
_NUMERIC = frozenset({"coordinates", "postcode", "phone", "iin", "card"})  # `mobile=true` is nobody's phone
_ASP_COOKIE = "aspsessionid"  # the rest of its name is random


def kind_of_key(key: str) -> str | None:
    """What a key says that its value is; None if it says nothing of a person.

    Args:
        key: in any case and any spelling: `postal_code`, `PostalCode`, `billing.postal-code`.
    """
    parts = re.split(r"[._-]", key.lower())
    whole = "".join(parts)
    kind = _KIND_OF_KEY.get(whole) or ("session" if whole.startswith(_ASP_COOKIE) else None)
    if kind is None and len(parts) > 1:  # `reset_token`; but a `login` or a `name` at the end may be anything's
        kind = _KIND_OF_KEY.get("".join(parts[1:])) or _KIND_OF_KEY.get(parts[-1])
        kind = None if kind == "name" else kind
    return kind


def _judge_keyed(match: re.Match[str]) -> str | None:
    kind = kind_of_key(match["key"])
    inner, equals, _ = match["found"].partition("=")  # `;next=password=…`: the value is a pair itself
    if kind is None and equals:
        kind = kind_of_key(inner)
    return None if kind in _NUMERIC and not any(map(str.isdigit, match["found"])) else kind


def _judge_hex(match: re.Match[str]) -> str | None:
    return None if match[0].isdigit() else "hex"


def _judge_base64(match: re.Match[str]) -> str | None:
    """Padded base64 has both cases and a length of fours (RFC 4648, 4)."""
    found = match["found"]
    whole = len(found) % 4 == 0 and any(map(str.isupper, found)) and any(map(str.islower, found))
    return "token" if whole else None


def _judge_iban(match: re.Match[str]) -> str | None:
    """ISO 13616: with its first four letters behind, and letters as numbers from 10, it is 1 modulo 97."""
    plain = match[0].replace(" ", "")
    return "iban" if int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1 else None


def _judge_token(match: re.Match[str]) -> str | None:
    """Whether a run of letters and digits is random; titles, file names and names of products are not."""
    found = match[0].rstrip("=")
    mixed, parts = _is_mixed(found), re.split("[-_]", found)
    if any(_is_random(part, mixed=mixed) for part in parts):
        return "token"
    wild = sum(len(part) for part in parts if _is_mixed(part) and len(part) < 2.5 * _runs(part))
    return "token" if 2 * wild >= len(found) else None


def _is_mixed(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isupper, text)) and any(map(str.islower, text))


def _is_random(part: str, *, mixed: bool) -> bool:
    """Random letters change between the cases and digits at every other letter, what people write does not.

    The longer a part, the surer the mean of what stands between two changes. The bounds were found by trial: of random
    base64 of 32 letters one in 200 passes, of 20 letters one in 20; of titles one in 10,000 is taken for a token.

    Args:
        part: what stands between hyphens.
        mixed: whether the whole run has digits and letters of both cases.
    """
    length = len(part)
    if length < 9 or (length < 20 and not mixed) or part.isdigit():
        return False
    if length < 30 and not mixed and part.isalpha():
        return length < 2.8 * _runs(part)
    bound = next(bound for longest, bound in _BOUNDS if length <= longest)
    return length < bound * _runs(part)


def _runs(part: str) -> int:
    return len(_RUNS.findall(part))


UUIDS = Rule("-", _UUID, "uuid")
# A key says most; an e-mail may hold a phone; what is long is looked at before its parts.
TOKENS = (
    Rule("@", _USER_INFORMATION, "userinfo"),
    Rule("=:", _KEYED, _judge_keyed),
    Rule("@%\uff20", _EMAIL, "email"),
    Rule("(", _ASP_SESSION, "session"),
    Rule(" +", _BEARER, "secret"),
    Rule(".", _JWT, "jwt"),
    Rule("_-:.A", _API_KEY, "key"),
    Rule("=", _BASE64, _judge_base64),
    Rule("", _HEX, _judge_hex),
    Rule("", _IBAN, _judge_iban),
    Rule("", _TOKEN, _judge_token),
)
