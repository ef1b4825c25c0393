// What the pages do beside their links and forms, all of which work without it: live
// refresh, dialogs, charts, local times, keys. No inline code: the policy forbids it.
(function () {
  "use strict";
  const html = document.documentElement;
  const root = html.dataset.root;
  const dialog = document.getElementById("dialog");

  // Live refresh. The server says when there is something new; the page then asks for
  // itself, once, and puts its regions in. A region waits while a user works in it, and
  // all of them while a dialog is open, so that nothing is taken out of anybody's hands.
  function stopped() {
    return new URLSearchParams(location.search).get("refresh") === "off";
  }
  function busy(region) {
    if (dialog && dialog.open) return true;
    if (region.querySelector("details[open], input:checked[type=checkbox], [aria-invalid=true]")) return true;
    const at = document.activeElement;
    if (at && at !== document.body && region.contains(at)) return true;
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  }
  document.body.addEventListener("htmx:sseMessage", function (event) {
    const name = event.detail.type;
    if (stopped() || document.hidden) return;
    htmx.trigger(document.body, "figures");
    // What was still being counted may have been told before this page listened.
    if (name === "refused" || document.querySelector("[aria-busy=true]")) htmx.trigger(document.body, "refused");
    draw();
  });
  function refreshes(request) {
    const by = request.triggeringEvent;
    return by && (by.type === "figures" || by.type === "refused");
  }
  document.body.addEventListener("htmx:beforeRequest", function (event) {
    if (refreshes(event.detail.requestConfig) && busy(event.detail.elt)) event.preventDefault();
  });
  // A user may have begun while the answer was on its way: a click on what is being
  // replaced would be lost.
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    if (refreshes(event.detail.requestConfig) && busy(event.detail.target)) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:oobBeforeSwap", function (event) {
    if (busy(event.detail.target)) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:afterSettle", function (event) {
    clock(event.target);
  });

  // A browser has few connections to one server: a hidden tab gives its one back.
  const pulse = document.getElementById("pulse");
  const calm = pulse && pulse.outerHTML;
  document.addEventListener("visibilitychange", function () {
    const now = document.getElementById("pulse");
    if (!calm) return;
    if (document.hidden && now) {
      htmx.swap(now, "", { swapStyle: "outerHTML" });
    } else if (!document.hidden && !now) {
      document.body.insertAdjacentHTML("beforeend", calm);
      htmx.process(document.getElementById("pulse"));
      htmx.trigger(document.body, "figures");
      htmx.trigger(document.body, "refused");
    }
  });

  // Dialogs: the same page as the link's, in a dialog that no refresh touches.
  function open(address, part) {
    document.getElementById("dialog-body").replaceChildren();
    return htmx.ajax("GET", address, { target: "#dialog-body", swap: "innerHTML", select: part }).then(function () {
      if (document.querySelector("#dialog-body > *") && !dialog.open) dialog.showModal();
    });
  }
  document.addEventListener("click", function (event) {
    const link = event.target.closest("a[data-dialog], a[data-close], a[data-help]");
    if (!link || !dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.hasAttribute("data-close")) {
      if (!dialog.open) return;
      dialog.close();
    } else {
      open(link.href, link.hasAttribute("data-help") ? "#help" : "#confirm");
    }
    event.preventDefault();
  });
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (form.id !== "picked" || !dialog) return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form));
    if (event.submitter && event.submitter.name) query.set(event.submitter.name, event.submitter.value);
    if (query.getAll("n").length === 0) {
      form.querySelector("input[type=checkbox]").focus();
      return;
    }
    open(form.action + "?" + query, "#confirm");
  });

  // Times: the server writes UTC; who wants local time gets it here.
  function clock(within) {
    if (html.dataset.clock !== "local" || !within || !within.querySelectorAll) return;
    for (const time of within.querySelectorAll("time[datetime]")) {
      const t = new Date(time.dateTime);
      const two = (n) => String(n).padStart(2, "0");
      time.title = time.dateTime;
      time.textContent = t.getFullYear() + "-" + two(t.getMonth() + 1) + "-" + two(t.getDate()) + " " +
        two(t.getHours()) + ":" + two(t.getMinutes()) + ":" + two(t.getSeconds());
    }
  }
  clock(document);
  if (html.dataset.clock === "local") {
    for (const name of document.querySelectorAll("[data-clock-name]")) name.textContent = "times are local";
  }
  for (const pace of document.querySelectorAll("[data-pace]")) pace.textContent = "live";
  for (const button of document.querySelectorAll("[data-preview]")) button.hidden = true; // it follows the form

  // Drafts. What was typed in an edit outlives a log-in, a reload and a conflict: this tab keeps it under the edit and
  // the user, until the edit is accepted.
  const draftOf = (form) => "draft " + (html.dataset.user || "") + " " + form.dataset.draft;
  function typed(form) {
    return Array.from(form.querySelectorAll(".edit")).filter((e) => e.value !== e.defaultValue).map((e) => [e.name, e.value]);
  }
  try {
    if (new URLSearchParams(location.search).get("said") === "edited") {
      for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft ")) sessionStorage.removeItem(key);
    }
    for (const form of document.querySelectorAll("form[data-draft]")) {
      const kept = JSON.parse(sessionStorage.getItem(draftOf(form)) || "[]");
      let restored = false;
      for (const [name, value] of kept) {
        const input = form.elements.namedItem(name);
        if (!input || input.value === value) continue;
        input.value = value;
        restored = true;
      }
      if (restored) {
        const note = document.createElement("p");
        note.className = "warning";
        note.setAttribute("role", "status");
        note.textContent = "! What you typed here before is restored; it is not saved yet.";
        form.before(note);
      }
      form.addEventListener("input", function () {
        try {
          sessionStorage.setItem(draftOf(form), JSON.stringify(typed(form)));
        } catch { /* a tab keeps a few megabytes */ }
      });
    }
  } catch { /* no storage, no drafts */ }

  // Keys.
  const places = { o: "", d: "refused", r: "record", p: "policies", q: "queues", c: "cache", a: "audit", t: "tokens" };
  let went = 0;
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || (dialog && dialog.open)) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) {
      search.focus();
    } else if (event.key === "?" && dialog) {
      open(root + "help", "#help");
    } else if (event.key === "g") {
      went = Date.now();
      return;
    } else if (Date.now() - went < 1500 && event.key in places) {
      location.href = root + places[event.key];
    } else {
      return;
    }
    event.preventDefault();
  });

  // Charts. Colours come from the page's own, so they follow its theme.
  const lines = {
    rates: [["accepted", "Accepted", "--line-1", []], ["persisted", "Persisted", "--line-2", [6, 3]]],
    lag: [["lag", "Oldest", "--line-1", []], ["half", "p50", "--line-2", [6, 3]], ["most", "p99", "--line-4", [2, 3]]],
    pending: [["pending", "Pending", "--line-1", []]],
    refused: [["held", "Held", "--line-3", []], ["dead", "Dead", "--line-4", [6, 3]]],
  };
  const drawn = new Map();
  function colour(name) {
    return getComputedStyle(html).getPropertyValue(name).trim();
  }
  function short(v) {
    if (v >= 1e6) return v / 1e6 + " M";
    return v >= 1e4 ? v / 1e3 + " k" : String(v);
  }
  const extent = { since: 0, until: 1 };
  function make(figure, data) {
    const box = figure.querySelector(".plot");
    const axis = { stroke: colour("--pico-muted-color"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const two = (n) => String(n).padStart(2, "0");
    const local = html.dataset.clock === "local";
    return new uPlot({
      width: box.clientWidth, height: 150, padding: [8, 8, 0, 0],
      cursor: { drag: { setScale: false } },
      scales: { x: { time: true, range: () => [extent.since, extent.until] }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        Object.assign({}, axis, { space: 80, size: 28, values: (u, at) => at.map((s) => {
          const t = new Date(s * 1000);
          return local ? two(t.getHours()) + ":" + two(t.getMinutes()) : two(t.getUTCHours()) + ":" + two(t.getUTCMinutes());
        }) }),
        Object.assign({}, axis, { size: 56, values: (u, at) => at.map(short) }),
      ],
      series: [{ label: "Time", value: (u, s) => (s == null ? "–" : new Date(s * 1000).toISOString().slice(11, 19)) }].concat(
        lines[figure.dataset.chart].map((l) => ({
          label: l[1], stroke: colour(l[2]), width: 2, dash: l[3], points: { show: false },
          value: (u, v) => (v == null ? "–" : String(Math.round(v * 10) / 10)),
        }))),
    }, columns(figure, data), box);
  }
  function columns(figure, data) {
    return [data.at || []].concat(lines[figure.dataset.chart].map((l) => data[l[0]] || []));
  }
  function draw() {
    const figures = document.querySelectorAll("[data-chart]");
    if (figures.length === 0 || typeof uPlot === "undefined" || stopped()) return;
    fetch(root + "series.json", { headers: { "HX-Request": "true" } }).then((answer) => (answer.ok ? answer.json() : null)).then(function (data) {
      if (!data) return;
      extent.since = data.since;
      extent.until = data.until;
      for (const figure of figures) {
        let plot = drawn.get(figure);
        if (!plot) {
          drawn.set(figure, make(figure, data));
          continue;
        }
        plot.setData(columns(figure, data));
      }
    }).catch(function () { /* the next event tries again */ });
  }
  addEventListener("resize", function () {
    for (const [figure, plot] of drawn) plot.setSize({ width: figure.querySelector(".plot").clientWidth, height: 150 });
  });
  draw();
})();
