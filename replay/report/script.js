"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));
  const data = JSON.parse($("data").textContent);
  const element = (name, className, text) => {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const lower = new WeakMap();
  const textOf = (e) => {
    if (!lower.has(e)) lower.set(e, (e.textContent + " " + (e.dataset.k || "")).toLowerCase());
    return lower.get(e);
  };
  for (const e of all(".tools, .zoom, .treetools, #theme")) e.hidden = false;
  for (const form of document.forms) form.addEventListener("submit", (e) => e.preventDefault());

  // The theme: the system's, or one of our own.
  const themes = ["auto", "light", "dark"];
  const keep = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("lqosd-report-theme");
      localStorage.setItem("lqosd-report-theme", value);
    } catch { /* a browser that keeps nothing for files */ }
    return null;
  };
  const setTheme = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $("theme-name").textContent = name;
  };
  let theme = themes.includes(keep()) ? keep() : "auto";
  setTheme(theme);
  $("theme").addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    keep(theme);
    setTheme(theme);
  });

  // Classes that aren't in the page from the beginning.
  const piece = 500;
  const row = (r) => {
    const [depth, id, name, role, rate, ceil, rates, ceils, leaf] = r;
    const li = element("li");
    const line = element("div", "row d" + depth);
    const label = element("span", "nm");
    label.append(element("code", "", id), " ", element("bdi", "", name), " ", element("small", "", role));
    const value = (what, text, className) => {
      const v = element("span", className);
      v.append(element("i", "", what), " " + text);
      return v;
    };
    line.append(label, value("rate", rate, "v"), value("ceil", ceil, "v"));
    if (rates) line.append(value("Σ rates", rates, "v sr"), value("Σ ceils", ceils, "v sc"));
    if (leaf) line.append(element("span", "lf", leaf));
    li.append(line);
    return li;
  };
  const rests = all("[data-rest]").map((li) => {
    const rows = data.rest[li.dataset.rest] || [];
    const rest = { li, rows, shown: 0, list: null, words: null };
    const button = element("button", "", "Show");
    button.type = "button";
    rest.button = button;
    rest.sum = li.querySelector(".sum");
    rest.text = rest.sum.textContent;
    button.setAttribute("aria-label", "Show" + rest.text.replace("…", ""));
    button.addEventListener("click", () => {
      const next = rest.shown + piece;
      const focus = rest.shown;
      show(rest, rows.slice(0, next), next);
      const first = rest.list.children[focus];
      if (rest.button.hidden && first) {
        first.tabIndex = -1;
        first.focus();
      }
    });
    li.append(button);
    return rest;
  });
  function show(rest, rows, upTo) {
    if (rest.list) rest.list.remove();
    rest.list = element("ul");
    rest.list.append(...rows.map(row));
    rest.li.prepend(rest.list);
    rest.shown = Math.min(upTo, rest.rows.length);
    const left = rest.rows.length - rest.shown;
    rest.sum.hidden = rest.button.hidden = left === 0;
    if (left > 0 && rest.shown > 0) {
      rest.sum.textContent = "… " + left + " more";
      rest.button.setAttribute("aria-label", "Show more of " + left);
    }
  }
  const unshow = (rest) => {
    if (rest.list) rest.list.remove();
    rest.list = null;
    rest.shown = 0;
    rest.sum.hidden = rest.button.hidden = false;
    rest.sum.textContent = rest.text;
  };

  // The filter.
  const events = all(".events tbody tr");
  const links = all(".link");
  const groups = all(".group");
  const filter = $("filter");
  const mostMatches = 200;
  let opened = null; // what was open before the filter opened more
  let matched = 0;

  const filterNode = (li, query, above) => {
    if (li.classList.contains("rest")) return filterRest(li, query, above);
    const details = li.querySelector(":scope > details");
    const line = details ? details.firstElementChild : li.firstElementChild;
    const own = above || textOf(line).includes(query);
    if (!above && own) matched++;
    let below = false;
    if (details) for (const kid of details.lastElementChild.children) below = filterNode(kid, query, own) || below;
    li.hidden = !(own || below);
    if (details) details.open = below && !own;
    return !li.hidden;
  };
  const restOf = new Map(rests.map((r) => [r.li, r]));
  const filterRest = (li, query, above) => {
    const rest = restOf.get(li);
    if (above || !rest) {
      li.hidden = !above;
      return above;
    }
    rest.words ||= rest.rows.map((r) => r.slice(1).join(" ").toLowerCase());
    const hits = rest.rows.filter((_, i) => rest.words[i].includes(query));
    matched += hits.length;
    li.hidden = hits.length === 0;
    if (hits.length > 0) {
      show(rest, hits.slice(0, mostMatches), rest.rows.length);
      if (hits.length > mostMatches) {
        rest.sum.hidden = false;
        rest.sum.textContent = "… " + (hits.length - mostMatches) + " more match";
      }
    }
    return hits.length > 0;
  };
  const plural = (n, noun) => n + " " + noun + (n === 1 ? "" : noun.endsWith("s") ? "es" : "s");

  const apply = () => {
    const query = filter.value.trim().toLowerCase();
    const [from, to] = [$("zoom-from"), $("zoom-to")].map((e) => (e ? e.value : ""));
    let eventCount = 0;
    for (const e of events) {
      const t = e.dataset.t;
      e.hidden = (from && t < from) || (to && t > to) || (query && !textOf(e).includes(query)) || false;
      if (!e.hidden) eventCount++;
    }
    if ($("no-events")) $("no-events").hidden = eventCount > 0;
    if (query && !opened) opened = new Map(all(".tree details, .group").map((d) => [d, d.open]));
    matched = 0;
    const ending = !query && opened;
    if (query || ending) for (const rest of rests) if (rest.list) unshow(rest);
    for (const link of links) {
      let any = false;
      for (const li of link.querySelector(".tree").children) {
        if (query) any = filterNode(li, query, false) || any;
        else if (ending) for (const e of [li, ...all("li", li)]) e.hidden = false;
      }
      link.hidden = query !== "" && !any;
    }
    if ($("no-classes")) $("no-classes").hidden = !query || matched > 0;
    let lines = 0;
    for (const group of groups) {
      const own = query && textOf(group.firstElementChild).includes(query);
      let any = 0;
      for (const line of all("tbody tr", group)) {
        line.hidden = query !== "" && !own && !textOf(line).includes(query);
        if (!line.hidden) any++;
      }
      group.hidden = query !== "" && any === 0;
      if (query) group.open = any > 0;
      lines += any;
    }
    if (!query && opened) {
      for (const [details, open] of opened) details.open = open;
      opened = null;
    }
    $("found").textContent = query ? [plural(eventCount, "event"), plural(matched, "class"), plural(lines, "difference")].join(", ") : "";
  };
  let waiting = 0;
  filter.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 150);
  });
  document.addEventListener("keydown", (e) => {
    const typing = e.target instanceof HTMLInputElement;
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      filter.focus();
      filter.select();
    } else if (e.key === "Escape" && (filter.value || e.target === filter)) {
      filter.value = "";
      apply();
    }
  });

  // Open and fold.
  for (const [id, open] of [["open", true], ["fold", false]]) {
    if ($(id)) $(id).addEventListener("click", () => {
      for (const d of all(".tree details")) d.open = open;
    });
  }
  const forPrint = [];
  addEventListener("beforeprint", () => {
    for (const d of groups) if (!d.open && !d.hidden) { d.open = true; forPrint.push(d); }
  });
  addEventListener("afterprint", () => { for (const d of forPrint.splice(0)) d.open = false; });

  // Zoom.
  const picture = $("picture");
  if (picture) zoom();
  function zoom() {
    const [width, height] = [480, 60];
    const starts = data.buckets;
    const resets = new Set(data.resets);
    const [from, to] = [$("zoom-from"), $("zoom-to")];
    let first = 0, end = starts.length; // the buckets that are shown
    const at = (wall) => { // the bucket of a time
      let i = starts.findIndex((s) => s > wall);
      return i < 0 ? starts.length - 1 : Math.max(0, i - 1);
    };
    const draw = () => {
      const bars = Math.min(120, end - first);
      const each = Math.ceil((end - first) / bars);
      const sums = [];
      for (let i = first; i < end; i += each) {
        const bar = { i, n: 0, reset: false };
        for (let j = i; j < Math.min(end, i + each); j++) {
          bar.n += data.counts[j];
          bar.reset ||= resets.has(j);
        }
        sums.push(bar);
      }
      const tallest = Math.max(1, ...sums.map((b) => b.n));
      const w = width / sums.length;
      picture.replaceChildren(...sums.filter((b) => b.n > 0).map((b) => {
        const h = Math.max(2, height * Math.sqrt(b.n / tallest));
        return rect(sums.indexOf(b) * w, height - h, w * 0.8, h, b.reset ? "re" : "", starts[b.i].replace("T", " ") + ": " + plural(b.n, "record"));
      }));
      const text = (i) => (starts[i] || $("to-text").dataset.end || "").replace("T", " ");
      $("from-text").textContent = text(first);
      $("to-text").textContent = text(end);
    };
    const rect = (x, y, w, h, className, title) => {
      const r = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [k, v] of Object.entries({ x, y, width: w, height: h, class: className })) r.setAttribute(k, v);
      if (title) {
        const t = document.createElementNS("http://www.w3.org/2000/svg", "title");
        t.textContent = title;
        r.append(t);
      }
      return r;
    };
    $("to-text").dataset.end = $("to-text").textContent;
    const zoomed = () => {
      first = from.value ? at(from.value) : 0;
      end = to.value ? at(to.value) : starts.length;
      if (to.value && starts[end] < to.value) end++;
      if (end <= first) end = first + 1;
      draw();
      apply();
    };
    from.addEventListener("change", zoomed);
    to.addEventListener("change", zoomed);
    $("zoom-all").addEventListener("click", () => {
      from.value = to.value = "";
      zoomed();
    });
    const bucket = (e) => {
      const box = picture.getBoundingClientRect();
      const part = Math.min(0.9999, Math.max(0, (e.clientX - box.left) / box.width));
      return first + Math.floor(part * (end - first));
    };
    let begin = -1, pick = null;
    picture.addEventListener("pointerdown", (e) => {
      begin = bucket(e);
      picture.setPointerCapture(e.pointerId);
    });
    picture.addEventListener("pointermove", (e) => {
      if (begin < 0) return;
      const [a, b] = [begin, bucket(e)].sort((x, y) => x - y);
      const w = width / (end - first);
      if (pick) pick.remove();
      pick = rect((a - first) * w, 0, (b - a + 1) * w, height, "pick");
      picture.append(pick);
    });
    picture.addEventListener("pointerup", (e) => {
      const [a, b] = [begin, bucket(e)].sort((x, y) => x - y);
      begin = -1;
      if (pick) pick.remove();
      pick = null;
      if (b <= a) return;
      from.value = starts[a];
      to.value = starts[b + 1] || "";
      zoomed();
    });
    picture.addEventListener("pointercancel", () => { begin = -1; if (pick) pick.remove(); pick = null; });
  }
})();
