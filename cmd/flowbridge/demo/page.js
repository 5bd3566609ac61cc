"use strict";
// The page works without this. With it, what changes is shown as it comes, and a press does not lose the place.
(() => {
  const shown = new Map(); // what the server last said of a part, by its id
  const gone = document.getElementById("gone");
  let etag = "", pressing = 0;
  document.documentElement.classList.add("js");
  const parts = (doc) => doc.querySelectorAll("[data-live]");
  for (const part of parts(document)) shown.set(part.id, part.innerHTML);

  // busy says that a reader is at something in a part which a change would take from under them.
  const busy = (part) => part.querySelector(".sb-sure[open]") ||
    part.contains(document.activeElement) && document.activeElement.matches("select, input");

  function swap(html, pressed) {
    const doc = new DOMParser().parseFromString(html, "text/html");
    for (const next of parts(doc)) {
      const part = document.getElementById(next.id);
      if (!part || shown.get(next.id) === next.innerHTML || !pressed && busy(part)) continue;
      shown.set(next.id, next.innerHTML);
      const open = [...part.querySelectorAll("details[open][id]")].map((d) => d.id);
      const focus = part.contains(document.activeElement) ? document.activeElement : null;
      const place = focus && [...part.querySelectorAll(focus.tagName)].indexOf(focus);
      part.replaceChildren(...document.importNode(next, true).childNodes);
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      if (focus) part.querySelectorAll(focus.tagName)[place]?.focus({preventScroll: true});
    }
  }

  async function ask(address, options) {
    const answer = await fetch(address, {cache: "no-store", ...options});
    if (answer.status === 304) return null;
    etag = answer.ok && address === "/" ? answer.headers.get("ETag") || "" : "";
    return answer.text();
  }

  async function poll() {
    let wait = 1000;
    if (document.visibilityState === "visible" && !pressing) {
      try {
        const html = await ask("/", {headers: etag ? {"If-None-Match": etag} : {}});
        if (html && !pressing) {
          swap(html, false);
          // A part that was left alone is asked for again.
          if ([...parts(document)].some(busy)) etag = "";
        }
        gone.textContent = "";
      } catch {
        gone.textContent = "The demo has ended, or does not answer.";
        wait = 5000;
      }
    }
    setTimeout(poll, wait);
  }

  document.addEventListener("change", (e) => {
    if (e.target.name === "who") e.target.form.requestSubmit();
  });

  document.addEventListener("submit", async (e) => {
    const form = e.target, button = e.submitter;
    e.preventDefault();
    const body = new URLSearchParams(new FormData(form, button));
    if (button) button.disabled = true;
    pressing++;
    try {
      const html = await ask(form.getAttribute("action"), {method: "POST", body});
      const doc = new DOMParser().parseFromString(html, "text/html");
      if (doc.getElementById("came")) {
        swap(html, true);
        if (form.classList.contains("write")) form.reset();
        if (document.getElementById("meta").contains(form)) document.getElementById("came").scrollIntoView({block: "nearest"});
      } else {
        gone.textContent = doc.body.textContent;
      }
    } catch {
      gone.textContent = "The demo has ended, or does not answer.";
    } finally {
      pressing--;
      if (button) button.disabled = false;
    }
  });

  setTimeout(poll, 1000);
})();
