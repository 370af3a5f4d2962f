"""Click identifiers: what is in a link because a platform put it there."""

from __future__ import annotations

# Identifiers that platforms put into links, and what it means that one is there. The ids themselves are never kept.
# Not here: `irclickid` and other ids of affiliate networks, which are referrals; `_ga`, `_gl`, which link own domains.
CLICK_IDS = {
    "gclid": "paid",  # Google Ads, auto-tagging
    "gbraid": "paid",  # Google Ads, from apps on iOS
    "wbraid": "paid",  # Google Ads, on the web on iOS
    "gad_source": "paid",  # Google Ads: beside the others, or in their place where an id isn't allowed
    "gad_campaignid": "paid",  # Google Ads, with gad_source
    "gclsrc": "paid",  # Search Ads 360
    "dclid": "paid",  # Campaign Manager 360, Display & Video 360
    "msclkid": "paid",  # Microsoft Advertising
    "yclid": "paid",  # Yandex Direct
    "ymclid": "paid",  # Yandex Market, whose clicks are sold
    "ttclid": "paid",  # TikTok Ads
    "twclid": "paid",  # X Ads
    "li_fat_id": "paid",  # LinkedIn Ads
    "rdt_cid": "paid",  # Reddit Ads
    "ScCid": "paid",  # Snapchat Ads
    "sccid": "paid",  # the same, as some write it
    "qclid": "paid",  # Quora Ads
    "tblci": "paid",  # Taboola
    "dicbo": "paid",  # Outbrain
    "obclid": "paid",  # Outbrain
    "rb_clickid": "paid",  # VK Ads, myTarget
    "ysclid": "search",  # Yandex adds it to every result of its search
    "srsltid": "search",  # Google adds it to results, of shops that use Merchant Center
    "fbclid": "social",  # Facebook and Instagram add it to every link, paid or not
    "igshid": "social",  # a link shared from Instagram
    "igsh": "social",  # the same, newer
    "epik": "social",  # Pinterest; not of ads alone
    "mc_cid": "email",  # Mailchimp, the campaign
    "mc_eid": "email",  # Mailchimp, the recipient
    "_hsenc": "email",  # HubSpot
    "_hsmi": "email",  # HubSpot
    "mkt_tok": "email",  # Marketo
    "vero_id": "email",  # Vero
}
