// What the pages gain from scripts. Everything works without this file.
"use strict";
(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];

  // Moments come as UTC and are shown in the visitor's zone.
  const thisYear = new Date().getFullYear();
  const parts = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
  const near = new Intl.DateTimeFormat(document.documentElement.lang, parts);
  const far = new Intl.DateTimeFormat(document.documentElement.lang, { ...parts, year: "numeric" });
  const words = (date) => (date.getFullYear() === thisYear ? near : far).format(date);
  const localTimes = (root) => {
    for (const time of all(root, "time[data-local]")) {
      time.title = time.textContent;
      time.textContent = words(new Date(time.dateTime));
      time.removeAttribute("data-local");
    }
  };

  const copyButtons = (root) => {
    for (const button of all(root, "button[data-copy][hidden]")) {
      button.hidden = false;
      const label = button.querySelector("span");
      const before = label.textContent;
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        try {
          await navigator.clipboard.writeText(source.textContent);
          label.textContent = button.dataset.done;
        } catch {
          // No permission, or not a secure page: select the text so that the keyboard can copy it.
          getSelection().selectAllChildren(source);
        }
      });
      button.addEventListener("blur", () => { label.textContent = before; });
    }
  };

  // Snippets stand one under the other until scripts turn them into tabs.
  const tabs = (root) => {
    for (const list of all(root, "[role=tablist][data-needs-script]")) {
      list.removeAttribute("data-needs-script");
      list.hidden = false;
      for (const tab of all(list, "[role=tab]")) {
        const panel = document.getElementById(tab.getAttribute("aria-controls"));
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
        panel.tabIndex = 0;
        panel.hidden = tab.getAttribute("aria-selected") !== "true";
      }
    }
  };

  // A form is sent once: its buttons show that it is working until the answer comes.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // The answer to data-again is a file: the page stays, and may send the form again.
    if (form.method !== "post" || "again" in form.dataset) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    (event.submitter ?? form.querySelector("button"))?.setAttribute("aria-busy", "true");
  });
  // A page that comes back from the browser's memory can be sent again.
  addEventListener("pageshow", () => {
    for (const form of all(document, "form[data-sent]")) delete form.dataset.sent;
    for (const button of all(document, "button[aria-busy]")) button.removeAttribute("aria-busy");
  });

  const themeSwitch = () => {
    for (const button of all(document, "[data-theme-switch]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const root = document.documentElement;
        const dark = root.className ? root.className === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
        root.className = dark ? "light" : "dark";
        const secure = location.protocol === "https:" ? "; secure" : "";
        document.cookie = `theme=${root.className}; path=/; max-age=31536000; samesite=lax${secure}`;
      });
    }
  };

  const menu = () => {
    const box = document.getElementById("menu");
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && box?.checked) {
        box.checked = false;
        box.focus();
      }
    });
  };

  // A day that is typed is a day where the visitor lives.
  const timeZone = (root) => {
    for (const input of all(root, "input[data-time-zone]")) input.value = Intl.DateTimeFormat().resolvedOptions().timeZone || input.value;
  };

  const enhance = (root) => {
    timeZone(root);
    localTimes(root);
    copyButtons(root);
    tabs(root);
  };
  // A page that shows a secret answers a form: reloading it must not send the form again.
  if (document.querySelector("[data-shown-once]")) history.replaceState(null, "", location.href);
  enhance(document);
  themeSwitch();
  menu();
  // Right after the swap, before the browser paints: nobody sees a time in UTC first. What was enhanced before is left alone.
  document.addEventListener("htmx:afterSwap", () => enhance(document));
})();
