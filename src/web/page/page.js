// What the pages can do beyond what a browser does with them: they stay up to date, a log is
// followed, what cannot be undone is asked before, and keys move. Without it all of them work.
"use strict";
(() => {
  const base = document.currentScript.dataset.base;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---- what cannot be undone

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button && button.dataset.ask && !window.confirm(button.dataset.ask)) {
      event.preventDefault();
      return;
    }
    // A second press does nothing.
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-all]")) return;
    all("input[name=id]", event.target.closest("form")).forEach((box) => { box.checked = event.target.checked; });
  });

  // ---- parts that stay up to date

  // A part is left as it is while a person is in it: a chosen row, an open detail, a focus.
  const isInUse = (part) => part.contains(document.activeElement) && document.activeElement !== document.body
    || one("input:checked, details[open]", part) !== null
    || (() => { const chosen = document.getSelection(); return chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode); })();

  let reading = false, again = false, last = 0;
  const refresh = async () => {
    if (!one("[data-live]")) return;
    if (reading) { again = true; return; }
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "follow" });
      last = Date.now();
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        // A run has begun whose output this page does not show yet.
        const runOf = (page) => (one("#log", page) || { dataset: {} }).dataset.run || "";
        if (one("#log", fresh) && runOf(fresh) !== runOf(document)) {
          location.reload();
          return;
        }
        for (const part of all("[data-live]")) {
          const other = fresh.getElementById(part.id);
          if (other && !isInUse(part) && part.innerHTML !== other.innerHTML) part.replaceChildren(...other.childNodes);
        }
      } else if (answer.redirected) {
        location.reload();
      }
    } catch { /* the stream says when the server is back */ }
    reading = false;
    if (again) { again = false; soon(); }
  };
  let timer = 0;
  const REST_MS = 1500;
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(0, last + REST_MS - Date.now()));
  };

  // ---- the stream of events: only while the page is seen, as a browser has few connections

  const live = one("#live");
  let stream = null;
  const say = (text, lost) => {
    if (!live) return;
    live.hidden = false;
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("lost", lost);
  };
  const open = () => {
    if (stream || document.hidden || !one("[data-live]")) return;
    stream = new EventSource(base + "/api/v1/events");
    stream.onopen = () => { say("Live", false); soon(); };
    stream.onmessage = () => { soon(); more(); };
    stream.onerror = () => {
      say("Not connected", true);
      // A refusal closes it for good.
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        setTimeout(open, 5000);
      }
    };
  };
  const close = () => { if (stream) stream.close(); stream = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  // Not everything is an event of a job: a pause, a lease, the end of a worker. And times pass.
  const LOOK_MS = 5000;
  setInterval(() => { if (!document.hidden && Date.now() - last >= LOOK_MS) soon(); }, 1000);

  // ---- a log that is followed

  const log = one("#log");
  let asking = false;
  const isAtEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
  const LOG_CHARS_MAX = 2000000;
  const more = async () => {
    if (!log || asking || !("follow" in log.dataset) || document.hidden) return;
    asking = true;
    try {
      const query = new URLSearchParams({ offset: log.dataset.at, style: log.dataset.style || "" });
      if (log.dataset.run) query.set("run", log.dataset.run);
      const answer = await fetch(log.dataset.more + "?" + query, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const part = await answer.json();
        const stays = isAtEnd();
        if (part.markup) {
          const made = document.createElement("template");
          made.innerHTML = part.markup;
          log.append(made.content);
          const hint = one("#nothing");
          if (hint) hint.remove();
          let chars = log.textContent.length;
          while (chars > LOG_CHARS_MAX && log.firstChild) {
            chars -= log.firstChild.textContent.length;
            log.firstChild.remove();
          }
        }
        const from = Number(log.dataset.at);
        Object.assign(log.dataset, { at: part.at, style: part.style });
        if (part.run) log.dataset.run = part.run;
        if (stays) log.scrollTop = log.scrollHeight;
        if (!part.open && part.at >= part.end) delete log.dataset.follow;
        // What is not complete yet is asked for with the next tick.
        if (part.at > from && part.at < part.end) setTimeout(more, 0);
      }
    } catch { /* tried again with the next tick */ }
    asking = false;
  };
  if (log) {
    log.scrollTop = log.scrollHeight;
    setInterval(more, 1000);
  }

  // ---- keys

  const keys = one(".keys");
  if (keys && one("tbody tr")) keys.hidden = false;
  const move = (by) => {
    const rows = all("main tbody tr").filter((row) => one("a", row));
    if (rows.length === 0) return;
    const at = rows.indexOf(one("tr.at"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))];
    all("tr.at").forEach((row) => row.classList.remove("at"));
    next.classList.add("at");
    one("a", next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (event.key === "/") {
      const search = one("#search");
      event.preventDefault();
      if (search) search.focus(); else location.href = base + "/jobs#search";
    } else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
  if (location.hash === "#search" && one("#search")) one("#search").focus();

  open();
})();
