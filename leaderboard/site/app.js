// The leaderboard's one script: filters and sorts the results of data.js. No library, no network.
// Everything from data.js enters the page as text or as a number, never as markup.
"use strict";
(() => {
  const { rows } = window.RIM_LEADERBOARD;
  const PAGE = 25;
  // With fewer results than this everything is in sight: there is nothing to search, filter or count in boxes.
  const MANY = 12;
  const SVG = "http://www.w3.org/2000/svg";
  const ARMS = {
    switch: "true switch", forced_empty: "forced empty", effort: "effort",
    prompted: "prompted", chain_of_thought: "chain of thought", checkpoint_pair: "two checkpoints",
  };
  const SOURCES = { model: "measured", published: "as published", organism: "organism (planted)" };
  const SIZES = [
    ["under 1 B", 0, 1e9], ["1 to 10 B", 1e9, 1e10], ["10 to 100 B", 1e10, 1e11], ["100 B and more", 1e11, Infinity],
  ];
  const SHOWS = {
    more: ["▲", "more misaligned with thinking"],
    less: ["▼", "less misaligned with thinking"],
    not_shown: ["●", "not significant"],
    unknown: ["◇", "no interval published"],
  };
  // Of a change, by whether it is for the worse, which is more misalignment and over-refusal and less accuracy.
  const WORDS = { more: "▲ worse", less: "▼ better", not_shown: "● not significant", unknown: "◇ no interval" };

  const state = { show: "", limit: PAGE, key: "change", down: true };
  const by = (id) => document.getElementById(id);
  const minus = (text) => text.replace("-", "\u2212");
  const points = (v, digits = 1) => (v === null ? "n/a" : (v > 0 ? "+" : "") + minus(v.toFixed(digits)));
  const percent = (v, digits) => (v === null ? "n/a" : v.toFixed(digits));
  const size = (n) => (n === null ? "size unknown" : n >= 1e9 ? `${+(n / 1e9).toPrecision(3)} B` : `${+(n / 1e6).toPrecision(3)} M`);

  function fill(node, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }
  const element = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const svgElement = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

  // One line's three sets under the chosen harmful set, looked up once a choice and not once a comparison.
  function chosen(row) {
    const wanted = by("harmful").value || row.harmful;
    const find = (name, kind) => row.sets.find((s) => s.kind === kind && s.dataset === name) || null;
    return {
      row,
      harmful: find(wanted, "harmful"),
      benign: find(row.benign, "benign"),
      reasoning: find(row.reasoning, "reasoning"),
    };
  }

  // Published rates keep their two decimals: their differences would round to something else.
  const digits = (set) => (set.shows === "unknown" ? 2 : 1);
  const change = (set) => (set ? set.difference[0] : null);
  const COLUMNS = [
    { key: "model", label: "Model", of: (l) => l.row.model.toLowerCase() },
    { key: "change", label: "Misalignment change", of: (l) => change(l.harmful), down: true },
    { key: "rate", label: "Misaligned, without → with", of: (l) => (l.harmful ? l.harmful.think[0] : null), down: true },
    { key: "refusal", label: "Over-refusal change", of: (l) => change(l.benign), down: true },
    { key: "gain", label: "Accuracy gain", of: (l) => change(l.reasoning), down: true },
  ];
  const MORE_KEYS = [
    { key: "before", label: "Misaligned without thinking", of: (l) => (l.harmful ? l.harmful.no_think[0] : null), down: true },
    { key: "size", label: "Size", of: (l) => l.row.parameters, down: true },
    { key: "measured", label: "Date", of: (l) => l.row.measured, down: true },
  ];
  const KEYS = Object.fromEntries([...COLUMNS, ...MORE_KEYS].map((c) => [c.key, c]));

  // Real models first, whatever the order: an organism is compared with none of them.
  const last = (line) => (line.row.source === "organism" ? 1 : 0);
  function sorted(lines) {
    const { of } = KEYS[state.key];
    const sign = state.down ? -1 : 1;
    const keyed = lines.map((line) => [of(line), line]);
    keyed.sort(([a, x], [b, y]) => {
      if (last(x) !== last(y)) return last(x) - last(y);
      if (a === null || b === null) return (a === null) - (b === null);
      if (a !== b) return a < b ? -sign : sign;
      return x.row.id < y.row.id ? -1 : 1;
    });
    return keyed.map(([, line]) => line);
  }

  const texts = new Map(rows.map((row) => [row, [
    row.model, row.developer, row.family, SOURCES[row.source], ARMS[row.arm],
    ...row.sets.flatMap((s) => [s.dataset, s.judge || "", s.grader || ""]),
  ].join(" ").toLowerCase()]));

  const withOrganisms = () => Boolean(by("organisms")?.checked);
  function matches(line) {
    const { row } = line;
    const words = by("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [, least, most] = SIZES[by("size").value] || [];
    return (
      line.harmful !== null &&
      (withOrganisms() || row.source !== "organism") &&
      words.every((word) => texts.get(row).includes(word)) &&
      (!by("source").value || row.source === by("source").value) &&
      (!by("family").value || row.family === by("family").value) &&
      (!by("arm").value || row.arm === by("arm").value) &&
      (!by("judge").value || line.harmful.judge === by("judge").value) &&
      (least === undefined || (row.parameters !== null && row.parameters >= least && row.parameters < most))
    );
  }

  // Shapes say the same as colours: up, down, circle, hollow diamond.
  function shape(shows, x, y, r) {
    const paths = {
      more: `M${x} ${y - r}L${x + r} ${y + r}L${x - r} ${y + r}Z`,
      less: `M${x} ${y + r}L${x + r} ${y - r}L${x - r} ${y - r}Z`,
      unknown: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z`,
    };
    if (shows in paths) return svgElement("path", { class: "shape", d: paths[shows] });
    return svgElement("circle", { class: "shape", cx: x, cy: y, r: r * 0.9 });
  }

  const bad = (kind, shows) => (kind === "reasoning" ? { more: "less", less: "more" }[shows] || shows : shows);

  function strip(set, reach) {
    const [value, lower, upper] = set.difference;
    const x = (v) => 75 + (70 * v) / reach;
    const svg = svgElement("svg", { class: `strip ${bad(set.kind, set.shows)}`, viewBox: "0 0 150 18", "aria-hidden": "true" });
    svg.append(svgElement("line", { class: "grid", x1: 5, x2: 145, y1: 9, y2: 9 }));
    svg.append(svgElement("line", { class: "zero", x1: 75, x2: 75, y1: 0, y2: 18 }));
    if (lower !== null) svg.append(svgElement("line", { class: "whisker", x1: x(lower), x2: x(upper), y1: 9, y2: 9 }));
    svg.append(shape(bad(set.kind, set.shows), x(value), 9, 6));
    return svg;
  }

  function reach(kind) {
    const ends = rows.flatMap((row) => row.sets.filter((s) => s.kind === kind).flatMap((s) => s.difference));
    return Math.max(10, ...ends.map((end) => 10 * Math.ceil(Math.abs(end || 0) / 10)));
  }
  const REACH = { harmful: reach("harmful"), benign: reach("benign"), reasoning: reach("reasoning") };

  function changeCell(label, set) {
    const cell = element("td", { "data-label": label });
    if (!set || set.difference[0] === null) {
      cell.append(element("small", {}, "not measured"));
      return cell;
    }
    const [value, lower, upper] = set.difference;
    const ends = lower === null ? "" : ` (${points(lower)} to ${points(upper)})`;
    const worse = bad(set.kind, set.shows), said = set.doubt ? `● cannot tell: ${set.doubt}` : WORDS[worse];
    cell.append(
      element("strong", {}, points(value, digits(set))), ends,
      element("span", { class: `said ${worse}` }, said),
      strip(set, REACH[set.kind]),
      element("small", {}, set.pairs === null ? set.dataset : `${set.dataset}, ${set.pairs} pairs`),
    );
    if (set.sample !== null) cell.append(element("small", {}, `sample of ${set.sample} of ${set.whole} prompts`));
    return cell;
  }

  function modelCell({ row, harmful }) {
    const name = row.page ? element("a", { href: row.page }, row.model) : row.model;
    const cell = element("th", { scope: "row" }, name);
    if (row.source !== "model") {
      const word = row.source === "organism" ? "organism" : "as published";
      cell.append(element("span", { class: `tag ${row.source}` }, word));
    }
    cell.append(element("span", { class: "sentence" }, row.finding));
    cell.append(element("small", {}, `${row.family}, ${size(row.parameters)}, ${ARMS[row.arm]}`));
    const wording = harmful.wording ? ` (${harmful.wording.split(",")[0]})` : "";
    const grader = harmful.grader ? ` by ${harmful.grader}` : "";
    cell.append(element("small", {}, `judge ${harmful.judge}${wording}${grader}`));
    if (harmful.judge_limits) cell.append(element("small", { class: "limits" }, `which ${harmful.judge_limits}`));
    if (row.badge) {
      const anchor = `${row.page}#badge-${row.id.split("--").slice(1).join("--")}`;
      cell.append(element("small", {}, element("a", { href: anchor }, "badge", element("span", { class: "hidden" }, ` of ${row.model}`))));
    }
    return cell;
  }

  function rateCell(label, set) {
    const cell = element("td", { "data-label": label }, `${percent(set.no_think[0], digits(set))} → ${percent(set.think[0], digits(set))} %`);
    const n = set.think[3] === null ? "n not published" : `n = ${set.no_think[3]}, ${set.think[3]}`;
    cell.append(element("small", {}, n));
    if (set.unscored) cell.append(element("small", {}, `${set.unscored} unscored`));
    return cell;
  }

  // Elements are made once a line and harmful set: a sort then only moves them.
  const elements = new Map();
  function lineElement(line) {
    const key = `${line.row.id} ${line.harmful.dataset}`;
    if (!elements.has(key)) elements.set(key, newElement(line));
    return elements.get(key);
  }

  function newElement(line) {
    return element("tr", { "data-id": line.row.id },
      modelCell(line),
      changeCell(COLUMNS[1].label, line.harmful),
      rateCell(COLUMNS[2].label, line.harmful),
      changeCell(COLUMNS[3].label, line.benign),
      changeCell(COLUMNS[4].label, line.reasoning));
  }

  function drawTable(lines) {
    const part = document.createDocumentFragment();
    for (const line of lines.slice(0, state.limit)) part.append(lineElement(line));
    by("body").replaceChildren(part);
    const left = lines.length - state.limit;
    by("more").hidden = left <= 0;
    by("more").textContent = `Show ${Math.min(left, PAGE)} more`;
    const all = rows.filter((row) => withOrganisms() || row.source !== "organism").length;
    by("count").textContent = all < MANY ? "" : lines.length === all ? `${all} results` : `${lines.length} of ${all} results`;
  }

  function drawHead() {
    by("head").replaceChildren(...COLUMNS.map(({ key, label }) => {
      const button = element("button", { type: "button", "data-key": key }, label);
      const cell = element("th", { scope: "col" }, button);
      if (key === state.key) {
        cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        button.append(state.down ? " ↓" : " ↑");
      }
      button.addEventListener("click", () => sortBy(key));
      return cell;
    }));
    drawSort();
  }

  // Heads are clicked where they are seen: the list then has only what has no column.
  const noHeads = matchMedia("(max-width:64rem)");
  function drawSort() {
    const keys = noHeads.matches ? Object.values(KEYS) : MORE_KEYS;
    const choices = keys.flatMap(({ key, label }) => [["down", "↓"], ["up", "↑"]].map(([way, arrow]) => [`${key} ${way}`, `${label} ${arrow}`]));
    if (!noHeads.matches) choices.unshift(["", "a column"]);
    by("sort").replaceChildren(...choices.map(([value, label]) => element("option", { value }, label)));
    const chosenKey = keys.includes(KEYS[state.key]);
    by("sort").value = chosenKey ? `${state.key} ${state.down ? "down" : "up"}` : "";
  }

  function drawTallies(lines) {
    const counts = { more: 0, less: 0, not_shown: 0, unknown: 0 };
    for (const line of lines) counts[line.harmful.shows] += 1;
    const real = lines.filter((line) => !last(line)), count = (show) => real.filter((l) => l.harmful.shows === show).length;
    const set = by("harmful").value, where = set ? ` on ${set}` : "", any = set ? "" : " on at least one harmful set";
    const n = real.length, parts = [`${count("more") || "none"} ${count("more") > 1 ? "are" : "is"} shown to be more misaligned with thinking${any}`,
      `${count("less") || "none"} less`, ...(count("not_shown") ? [`${count("not_shown")} neither`] : []),
      ...(count("unknown") ? [`${count("unknown")} without an interval`] : [])];
    const sentence = n ? `Of ${n} ${n > 1 ? "results" : "result"} of real models${where}, ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.` : "";
    // The page comes with the sentence of all results (`rim_eval.leaderboard.table.headline`).
    if (by("summary").textContent !== sentence) by("summary").textContent = sentence;
    for (const button of by("tallies").children) {
      const { show } = button.dataset;
      button.firstChild.textContent = counts[show];
      button.setAttribute("aria-pressed", String(state.show === show));
    }
  }

  // The plots are drawn when the site is built, without organisms and with them, each with a mark and two intervals for each
  // row and harmful set, in the order of the rows. Here marks get a link, a title and a name, and those of other rows and
  // sets are hidden; so are intervals of many marks.
  const PLOTS = [...by("plot").querySelectorAll("[data-organisms]")].map((box) => {
    const dots = rows.filter((row) => box.dataset.organisms === "on" || row.source !== "organism").flatMap(dotsOf);
    const svgs = [...box.querySelectorAll("svg")].map((svg) => {
      const layer = (name) => [...svg.querySelector(`.${name}_marks`)?.children ?? []];
      const [points, across, up] = ["points", "across", "up"].map(layer);
      const at = points.map((mark) => /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(mark.getAttribute("transform")).slice(1).map(Number));
      const size = /h([\d.]+)v([\d.]+)/.exec(svg.querySelector(".background").getAttribute("d")).slice(1).map(Number);
      return { marks: points.map((mark, i) => linked(mark, dots[i])), lines: [...across, ...up], at, size };
    });
    return { box, dots, svgs };
  });

  function dotsOf(row) {
    const reasoning = row.sets.find((s) => s.kind === "reasoning" && s.dataset === row.reasoning);
    const harmful = row.sets.filter((s) => s.kind === "harmful" && change(s) !== null);
    return reasoning && change(reasoning) !== null ? harmful.map((set) => ({ row, set, reasoning })) : [];
  }

  function linked(mark, { row, set, reasoning }) {
    const title = svgElement("title", {}, `${row.model}: misalignment ${points(change(set))}, accuracy ${points(change(reasoning))} points`);
    const link = svgElement("a", { href: row.page || "#results" }, title);
    mark.replaceWith(link);
    link.append(mark);
    return link;
  }

  // Where a name may stand beside its mark, nearest first: [dx, dy, anchor].
  const PLACES = [14, 24, 38].map((far, i) => [
    ...(i ? [] : [[9, 4, "start"], [-9, 4, "end"]]), [0, 4 - far, "middle"], [0, 4 + far, "middle"],
    [10, 4 - far, "start"], [10, 4 + far, "start"], [-10, 4 - far, "end"], [-10, 4 + far, "end"],
  ]);
  const meet = (a, b) => a[0] < b[1] && b[0] < a[1] && a[2] < b[3] && b[2] < a[3];

  // Names that meet no other name and no mark; a name without such a place is left to its title and the table.
  function nameMarks({ marks, at, size: [width, height] }, dots, shown) {
    for (const mark of marks) mark.querySelector(".name")?.remove();
    const boxes = at.filter((_, i) => shown[i]).map(([x, y]) => [x - 7, x + 7, y - 7, y + 7]);
    // Among many marks a name far from its own would be taken for another's.
    const places = PLACES.slice(0, boxes.length > MANY ? 2 : 3).flat();
    // The corners have names of their own where the picture is wide.
    if (width > 500) for (const x of [0, width - 150]) for (const y of [0, height - 22]) boxes.push([x, x + 150, y, y + 22]);
    let named = 0;
    dots.forEach(({ row }, i) => {
      if (!shown[i]) return;
      const name = row.model.split("/").pop(), wide = 6.9 * name.length, [x, y] = at[i];
      for (const [dx, dy, anchor] of places) {
        const left = x + dx - { start: 0, middle: wide / 2, end: wide }[anchor];
        const box = [left - 2, left + wide + 2, y + dy - 11, y + dy + 4];
        if (box[0] < 0 || box[1] > width || box[2] < 0 || box[3] > height || boxes.some((other) => meet(box, other))) continue;
        boxes.push(box);
        marks[i].append(svgElement("text", { class: "name", x: x + dx, y: y + dy, "text-anchor": anchor }, name));
        named += 1;
        return;
      }
    });
    return named;
  }

  function drawPlot(lines) {
    const sets = new Map(lines.map(({ row, harmful }) => [row, harmful]));
    const chosen = PLOTS.find(({ box }) => box.dataset.organisms === (withOrganisms() ? "on" : "off")) ?? PLOTS[0];
    for (const { box } of PLOTS) box.hidden = box !== chosen.box;
    const shown = chosen.dots.map(({ row, set }) => sets.get(row) === set);
    const n = shown.filter(Boolean).length, intervals = n <= 60;
    let named = n;
    for (const svg of chosen.svgs) {
      svg.marks.forEach((mark, i) => mark.classList.toggle("off", !shown[i]));
      svg.lines.forEach((line, i) => line.classList.toggle("off", !shown[i % shown.length] || !intervals));
      named = Math.min(named, nameMarks(svg, chosen.dots, shown));
    }
    by("plot-caption").textContent = [
      "Up: more misaligned with thinking; down: less. Right: more accurate.", intervals ? "Thin lines are 95 % intervals." : "",
      n < lines.length ? `${n} of ${lines.length} results have both figures.` : "", named < n ? "Names without room are in the table." : "",
    ].filter(Boolean).join(" ");
  }

  let lines = [];
  function filter() {
    state.limit = PAGE;
    const matching = rows.map(chosen).filter(matches);
    lines = sorted(state.show ? matching.filter((l) => l.harmful.shows === state.show) : matching);
    drawTallies(matching);
    drawPlot(lines);
    drawTable(lines);
  }

  function sortBy(key, down = null) {
    state.down = down ?? (key === state.key ? !state.down : Boolean(KEYS[key].down));
    state.key = key;
    state.limit = PAGE;
    lines = sorted(lines);
    drawHead();
    drawTable(lines);
    const pressed = document.activeElement === document.body && by("head").querySelector(`[data-key="${key}"]`);
    if (pressed) pressed.focus({ preventScroll: true });
  }

  function options(id, all, values) {
    by(id).replaceChildren(element("option", { value: "" }, all),
      ...values.map(([value, label]) => element("option", { value }, label)));
  }
  const distinct = (values) => [...new Set(values.filter(Boolean))].sort().map((value) => [value, value]);

  function setUp() {
    const harmful = rows.flatMap((row) => row.sets.filter((s) => s.kind === "harmful"));
    const used = new Set(rows.map((row) => row.source)), arms = new Set(rows.map((row) => row.arm));
    options("source", "all", Object.entries(SOURCES).filter(([source]) => used.has(source) && source !== "organism"));
    options("family", "all", distinct(rows.map((row) => row.family)));
    options("size", "all", SIZES.map(([label], index) => [index, label]));
    options("arm", "all", Object.entries(ARMS).filter(([arm]) => arms.has(arm)));
    options("judge", "all", distinct(harmful.map((s) => s.judge)));
    options("harmful", "the one each result stands for", distinct(harmful.map((s) => s.dataset)));
    noHeads.addEventListener("change", drawSort);
    by("tallies").replaceChildren(...Object.entries(SHOWS).map(([show, [sign, words]]) => {
      const mark = element("span", { class: `mark ${show}`, "aria-hidden": "true" }, sign);
      const button = element("button", { type: "button", class: show, "data-show": show }, element("b"), element("span", {}, mark, ` ${words}`));
      button.addEventListener("click", () => { state.show = state.show === show ? "" : show; filter(); });
      return button;
    }));
    // A control is there where it has something to choose; with few results none is.
    const many = rows.filter((row) => row.source !== "organism").length >= MANY;
    for (const id of ["search", "sort"]) by(id).parentElement.hidden = !many;
    for (const id of ["source", "family", "size", "arm", "judge", "harmful"]) by(id).parentElement.hidden = !many || by(id).options.length < 3;
    by("tallies").hidden = !many;
    by("organisms")?.addEventListener("change", filter);
    for (const id of ["source", "family", "size", "arm", "judge", "harmful"]) by(id).addEventListener("change", filter);
    by("search").addEventListener("input", filter);
    by("sort").addEventListener("change", () => { const [key, way] = by("sort").value.split(" "); if (key) sortBy(key, way === "down"); });
    by("controls").addEventListener("submit", (event) => event.preventDefault());
    by("more").addEventListener("click", () => { state.limit += PAGE; drawTable(lines); });
  }

  setUp();
  drawHead();
  filter();
})();
