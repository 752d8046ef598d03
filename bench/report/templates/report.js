// Sorts and filters the table of results, and opens what a link leads to. The page says all it has
// to say without this script; controls are made here, so that none is dead where it does not run.
"use strict";
(() => {
  const make = (tag, fields, ...inside) => {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...inside);
    return element;
  };

  // What is wider than its place can be moved sideways by keyboard too.
  const watch = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const wide of document.querySelectorAll(".scroll, pre")) watch.observe(wide);

  // Folded tables are printed open.
  let opened = [];
  const fold = (open) => opened.forEach((details) => (details.open = open));
  addEventListener("beforeprint", () => {
    opened = document.querySelectorAll("details.tables:not([open])");
    fold(true);
  });
  addEventListener("afterprint", () => fold(false));

  const table = document.getElementById("cases");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const heads = table ? [...table.tHead.rows[0].cells] : [];
  const cell = (row, head) => row.cells[head.cellIndex].dataset;
  const compare = (head, sign) => (a, b) => {
    const [x, y] = [a, b].map((row) => parseFloat(cell(row, head).sort)); // NaN where none is
    return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y); // none comes last
  };
  const selects = new Map(); // by head
  const status = make("p", { role: "status" });
  const all = make("button", { type: "button", textContent: "Show all" });
  let sort = ""; // the key of a column, after a minus where it goes down

  const show = () => {
    const chosen = [...selects].filter(([, select]) => select.value);
    for (const row of rows) {
      row.hidden = chosen.some(([head, select]) => cell(row, head).value !== select.value);
    }
    let order = rows;
    for (const head of heads) {
      const sign = { [head.dataset.key]: 1, [`-${head.dataset.key}`]: -1 }[sort];
      if (sign) order = rows.toSorted(compare(head, sign));
      if (sign) head.ariaSort = sign > 0 ? "ascending" : "descending";
      else head.removeAttribute("aria-sort");
    }
    table.tBodies[0].append(...order);
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} cases`;
    all.disabled = order === rows && !chosen.length;
  };
  const changed = () => {
    show();
    const state = new URLSearchParams();
    for (const [head, { value }] of selects) if (value) state.set(head.dataset.key, value);
    if (sort) state.set("sort", sort);
    history.replaceState(null, "", state.size ? `#results?${state}` : "#results");
  };
  const set = (state) => {
    for (const [head, select] of selects) {
      select.value = state.get(head.dataset.key) ?? "";
      if (select.selectedIndex < 0) select.value = ""; // a value that this run does not have
    }
    sort = state.get("sort") ?? "";
    show();
  };

  // A link to a state of the table, to a row that is left out, or into something folded.
  const follow = () => {
    const [anchor, state] = location.hash.slice(1).split("?");
    const target = document.getElementById(anchor);
    if (rows.length > 1 && state !== undefined) set(new URLSearchParams(state));
    if (target?.hidden) set(new URLSearchParams());
    for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
    target?.scrollIntoView();
  };

  if (rows.length > 1) {
    const controls = make("div", { role: "group", ariaLabel: "Cases shown" });
    controls.className = "controls";
    for (const head of heads) {
      const { key, filter } = head.dataset;
      const values = new Set(rows.toSorted(compare(head, 1)).map((row) => cell(row, head).value));
      if (filter !== undefined && values.size > 1) {
        const option = (value) => make("option", { value, textContent: value || "all" });
        const select = make("select", {}, ...["", ...values].map(option));
        select.addEventListener("change", changed);
        selects.set(head, select);
        controls.append(make("label", {}, `${head.textContent} `, select));
      }
      const button = make("button", { type: "button" }, ...head.childNodes);
      button.addEventListener("click", () => {
        sort = sort === key ? `-${key}` : key;
        changed();
      });
      head.append(button);
    }
    all.addEventListener("click", () => {
      set(new URLSearchParams());
      changed();
      table.querySelector("button").focus(); // this button has just become idle
    });
    controls.append(all, status);
    table.parentElement.before(controls);
    table.classList.add("sortable");
    show();
  }
  addEventListener("hashchange", follow);
  if (location.hash) follow();
})();
