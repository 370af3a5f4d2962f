// Offers the choice as a banner, and tells the page and Google's tags what was chosen. Everything is denied until the
// server says otherwise. <script src="/consent/banner.js" defer></script>
(() => {
  "use strict";
  const base = document.currentScript.src.replace(/\/banner\.js.*$/, "");
  const signals = {
    analytics: ["analytics_storage"],
    marketing: ["ad_storage", "ad_user_data", "ad_personalization"],
    preferences: ["functionality_storage", "personalization_storage"],
  };
  let banner, opener, before, watcher;

  // Google Consent Mode v2: it reads `arguments` objects, not arrays.
  const layer = (window.dataLayer = window.dataLayer || []);
  function gtag() { layer.push(arguments); }
  function tell(command, states) {
    const settings = { security_storage: "granted" };
    for (const category in signals) {
      for (const name of signals[category]) settings[name] = states[category] === "given" ? "granted" : "denied";
    }
    gtag("consent", command, settings);
  }

  async function learn() {
    const answer = await fetch(base + "/state", { cache: "no-store", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    const { states, source, asks } = await answer.json();
    tell("update", states);
    document.dispatchEvent(new CustomEvent("centtrack:consent", { detail: { states, source, asks } }));
    return asks;
  }

  const ready = new Promise((done) => {
    if (document.readyState !== "loading") done();
    else document.addEventListener("DOMContentLoaded", done);
  });

  // The style comes first, so that the banner never shows without it.
  function style() {
    const href = base + "/consent.css";
    if ([...document.styleSheets].some((sheet) => sheet.href === href)) return null;
    return new Promise((done) => {
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
      link.onload = link.onerror = done;
      document.head.append(link);
    });
  }

  async function load() {
    const asked = new URLSearchParams({
      lang: document.documentElement.lang.slice(0, 2).toLowerCase(),
      back: location.pathname + location.search,
    });
    const answer = await fetch(base + "/banner?" + asked, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    await style();
    return parsed.querySelector("[data-centtrack-banner]");
  }

  async function show() {
    await ready;
    if (banner) return;
    const found = document.querySelector("[data-centtrack-banner]") || (await load());
    if (banner || !found) return;
    banner = found;
    if (banner.ownerDocument !== document) document.body.prepend(banner);
    banner.addEventListener("submit", decide);
    banner.addEventListener("focusin", (event) => {
      if (event.relatedTarget && !banner.contains(event.relatedTarget)) before = event.relatedTarget;
    });
    banner.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close(); // until the next page: nothing is decided
    });
    watcher = new ResizeObserver(() => {
      document.documentElement.style.setProperty("--centtrack-banner-height", banner.offsetHeight + "px");
    });
    watcher.observe(banner);
  }

  function close() {
    const held = banner.contains(document.activeElement);
    const back = [before, opener].find((element) => element && element.isConnected);
    watcher.disconnect();
    banner.remove();
    document.documentElement.style.removeProperty("--centtrack-banner-height");
    banner = opener = before = null;
    if (held && back) back.focus();
  }

  async function decide(event) {
    event.preventDefault();
    const form = event.target;
    const status = banner.querySelector("[role=status]");
    if (banner.ariaBusy === "true") return;
    banner.ariaBusy = "true";
    status.textContent = "";
    const fields = new URLSearchParams(new FormData(form));
    if (event.submitter) fields.set(event.submitter.name, event.submitter.value);
    try {
      // Where the answer leads to is of no interest, only that it isn't an error.
      const answer = await fetch(form.action, { method: "POST", body: fields, redirect: "manual" });
      if (!answer.ok && answer.type !== "opaqueredirect") throw new Error(answer.status);
    } catch {
      banner.ariaBusy = "false";
      status.textContent = status.dataset.error;
      return;
    }
    close();
    await learn().catch(() => {});
  }

  function open() {
    opener = document.activeElement;
    return show().then(() => {
      banner.tabIndex = -1;
      banner.focus();
    }).catch(() => location.assign(base));
  }

  window.centtrack = { open };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-centtrack-open]")) return;
    event.preventDefault();
    open();
  });

  tell("default", {});
  learn().then((asks) => asks && show()).catch(() => {});
})();
