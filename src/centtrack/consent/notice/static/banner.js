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
  let banner, opener, before, watcher, busy;

  // Google Consent Mode v2: it reads `arguments` objects, not arrays.
  const layer = (window.dataLayer = window.dataLayer || []);
  function gtag() { layer.push(arguments); }
  function tell(command, states, more) {
    const settings = { security_storage: "granted", ...more };
    for (const category in signals) {
      for (const name of signals[category]) settings[name] = states[category] === "given" ? "granted" : "denied";
    }
    gtag("consent", command, settings);
  }

  async function ask(path, options) {
    const answer = await fetch(path, { cache: "no-store", headers: { Accept: "application/json" }, ...options });
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  }

  async function announce(answer) {
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
    const answer = await ask(base + "/banner?" + asked, { headers: { Accept: "text/html" } });
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
    if (!banner) return;
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
    if (busy) return;
    busy = true;
    status.textContent = "";
    const fields = new URLSearchParams(new FormData(form));
    fields.delete("back"); // the page stays
    if (event.submitter) fields.set(event.submitter.name, event.submitter.value);
    try {
      const answer = await ask(form.action, { method: "POST", body: fields });
      close();
      await announce(answer);
    } catch (error) {
      status.textContent = status.dataset.error;
      if (error.message === "409") await renew(status.dataset.changed).catch(() => location.assign(base));
    }
    busy = false;
  }

  // What the visitor has read isn't true any more: here is what is.
  async function renew(reason) {
    close();
    await open();
    banner.querySelector("[role=status]").textContent = reason;
  }

  function open(element) {
    opener = element || document.activeElement;
    return show().then(() => {
      banner.tabIndex = -1;
      banner.focus();
    }).catch(() => location.assign(base));
  }

  window.centtrack = { open: () => open() };
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-centtrack-open]");
    if (!element) return;
    event.preventDefault();
    open(element);
  });

  tell("default", {}, { wait_for_update: 500 }); // ms that tags wait for the server's answer
  ask(base + "/state").then(announce).then((asks) => asks && show()).catch(() => {});
})();
