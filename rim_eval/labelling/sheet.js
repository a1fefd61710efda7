// The one script of a label sheet: shows the items, keeps the labels in this browser, exports and imports them.
// Everything from the sheet enters the page as text, never as markup. Nothing is sent anywhere.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const sheet = JSON.parse(at("sheet").textContent);
  const { items, question } = sheet;
  const PLACE = `rim-eval labels ${sheet.sheet}`;
  const SKIP = "skip", NONE = "none", MOST_UNDO = 2000;
  const choices = [...question.choices];
  if (question.several) choices.push({ key: "0", value: NONE, title: "None of these", help: "" });
  choices.push({ key: "s", value: SKIP, title: "Skip", help: "cannot tell" });

  // `at` is the place in `items`; `history` holds what each step replaced.
  const fresh = () => ({ at: 0, labels: {}, notes: {}, history: [] });
  let state = restored();

  function restored() {
    try {
      return Object.assign(fresh(), JSON.parse(localStorage.getItem(PLACE)));
    } catch {
      return fresh();
    }
  }

  function keep() {
    try {
      localStorage.setItem(PLACE, JSON.stringify(state));
    } catch {
      say("This browser keeps nothing for this page: export before you close it.");
    }
  }

  function say(text) {
    at("message").hidden = !text;
    at("message").textContent = text || "";
  }

  const item = () => items[state.at];
  const labelled = (word) => items.filter(({ id }) => state.labels[id] && (!word || state.labels[id] === word)).length;
  const words = (label) => (label || "").split(" ").filter(Boolean);

  // Change labels and notes in one step that undo takes back; an empty value removes.
  function change(labels, notes = {}) {
    const before = { at: state.at, labels: {}, notes: {} };
    for (const [store, values] of [["labels", labels], ["notes", notes]]) {
      for (const [id, value] of Object.entries(values)) {
        before[store][id] = state[store][id] || "";
        if (value) state[store][id] = value;
        else delete state[store][id];
      }
    }
    state.history.push(before);
    state.history.splice(0, state.history.length - MOST_UNDO);
  }

  function choose(value) {
    say("");
    const { id } = item();
    if (!question.several || value === SKIP || value === NONE) {
      change({ [id]: value });
      advance();
    } else {
      const now = new Set(words(state.labels[id]).filter((word) => word !== SKIP && word !== NONE));
      if (!now.delete(value)) now.add(value);
      change({ [id]: choices.map((choice) => choice.value).filter((word) => now.has(word)).join(" ") });
    }
    keep();
    show();
  }

  // To the next item without a label, round the end; stay where none is left.
  function advance() {
    for (let step = 1; step <= items.length; step += 1) {
      const place = (state.at + step) % items.length;
      if (!state.labels[items[place].id]) {
        state.at = place;
        window.scrollTo(0, 0);
        return;
      }
    }
    say("Every item is done. Press e to export the labels; the arrows go back to any item.");
  }

  function move(step) {
    const place = state.at + step;
    if (place < 0 || place >= items.length) return;
    state.at = place;
    keep();
    show();
    window.scrollTo(0, 0);
  }

  function undo() {
    const before = state.history.pop();
    if (!before) return;
    for (const store of ["labels", "notes"]) {
      for (const [id, value] of Object.entries(before[store])) {
        if (value) state[store][id] = value;
        else delete state[store][id];
      }
    }
    state.at = before.at;
    say("");
    keep();
    show();
    window.scrollTo(0, 0);
  }

  const cell = (text) => (/[",\r\n;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function table() {
    const lines = items.map(({ id }) => [sheet.sheet, id, state.labels[id] || "", state.notes[id] || ""]);
    return [["sheet", "item", "label", "note"], ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = `labels-${sheet.sheet}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    const open = items.length - labelled();
    say(`Exported ${link.download}${open ? `: ${open} items still have no label` : ""}.`);
  }

  // Cells of a CSV text by line; separators of spreadsheet programs are read too.
  function cells(text) {
    const clean = text.replace(/^\uFEFF/, "");
    const first = clean.split(/\r?\n/, 1)[0];
    const separator = [",", ";", "\t"].find((mark) => first.split(mark).length > 2) || ",";
    const lines = [];
    let line = [], value = "", quoted = false;
    for (let i = 0; i < clean.length; i += 1) {
      const sign = clean[i];
      if (quoted) {
        if (sign !== '"') value += sign;
        else if (clean[i + 1] === '"') { value += sign; i += 1; }
        else quoted = false;
      } else if (sign === '"' && !value) quoted = true;
      else if (sign === separator) { line.push(value); value = ""; }
      else if (sign === "\n" || (sign === "\r" && clean[i + 1] !== "\n")) { lines.push([...line, value]); line = []; value = ""; }
      else if (sign !== "\r") value += sign;
    }
    if (value || line.length) lines.push([...line, value]);
    return lines.filter((each) => each.some((part) => part.trim()));
  }

  function take(text) {
    const [head = [], ...lines] = cells(text);
    const place = Object.fromEntries(head.map((name, number) => [name.trim().toLowerCase(), number]));
    if (!("item" in place) || !("label" in place)) return say("That file has no columns item and label. Nothing was imported.");
    const ids = new Set(items.map(({ id }) => id));
    const allowed = new Set(choices.map(({ value }) => value));
    const labels = {}, notes = {};
    let strangers = 0;
    for (const line of lines) {
      const id = (line[place.item] || "").trim(), label = (line[place.label] || "").trim().toLowerCase();
      const note = "note" in place ? line[place.note] || "" : "";
      if (!ids.has(id)) { strangers += 1; continue; }
      if (words(label).some((word) => !allowed.has(word))) return say(`The label of item ${id} is none of ${[...allowed].join(", ")}. Nothing was imported.`);
      if (label) labels[id] = label;
      if (note) notes[id] = note;
    }
    if (strangers === lines.length) return say("No item of that file is of this sheet. Nothing was imported.");
    change(labels, notes);
    keep();
    show();
    const others = strangers ? ` ${strangers} items of the file are not of this sheet.` : "";
    return say(`Imported ${Object.keys(labels).length} labels. Undo takes them back.${others}`);
  }

  function element(name, properties, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  function show() {
    const { id, texts } = item();
    const done = labelled(), skipped = labelled(SKIP);
    at("progress").textContent = `${done} of ${items.length} done${skipped ? `, ${skipped} of them skipped` : ""}`;
    at("done").style.width = `${(100 * done) / items.length}%`;
    at("place").textContent = `Item ${state.at + 1} of ${items.length}`;
    at("texts").replaceChildren(
      ...texts.flatMap(([heading, text]) => [
        element("h2", { textContent: heading }),
        element("div", { className: /^(Context|Request)$/.test(heading) ? "text" : "text reply", textContent: text }),
      ]),
    );
    at("note").value = state.notes[id] || "";
    for (const button of at("choices").children) {
      button.ariaPressed = String(words(state.labels[id]).includes(button.dataset.value));
    }
    at("previous").disabled = state.at === 0;
    at("next").disabled = state.at === items.length - 1;
    at("undo").disabled = !state.history.length;
  }

  function build() {
    document.body.classList.toggle("several", question.several);
    at("question").textContent = question.text;
    at("help").textContent = at("meaning").textContent = question.help;
    for (const { key, value, title, help } of choices) {
      const button = element("button", { type: "button", title: help }, element("kbd", { textContent: key }), ` ${title}`);
      button.dataset.value = value;
      button.addEventListener("click", () => choose(value));
      at("choices").append(button);
    }
    const keys = [
      ...choices.map(({ key, title, help }) => [key, help ? `${title}: ${help}` : title]),
      ["← →", "previous and next item"], ["u", "undo the last step, also after the page was closed"],
      ["m", "write a note; Escape leaves it"], ["e", "export the labels as CSV"], ["i", "import an exported CSV"],
    ];
    if (question.several) keys.push(["Enter", "next item without a label"]);
    for (const [key, text] of keys) {
      at("keys").append(element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: text }));
    }
    at("previous").addEventListener("click", () => move(-1));
    at("next").addEventListener("click", () => move(1));
    at("undo").addEventListener("click", undo);
    at("export").addEventListener("click", download);
    at("import").addEventListener("click", () => at("file").click());
    at("clear").addEventListener("click", () => {
      if (!window.confirm("Clear all labels and notes of this sheet in this browser?")) return;
      state = fresh();
      keep();
      show();
      say("All labels are cleared.");
    });
    at("file").addEventListener("change", async () => {
      const [file] = at("file").files;
      if (file) take(await file.text());
      at("file").value = "";
    });
    at("note").addEventListener("input", () => {
      state.notes[item().id] = at("note").value;
      keep();
    });
    window.addEventListener("keydown", press);
    // The same sheet in another window: what was entered there counts here too.
    window.addEventListener("storage", (event) => {
      if (event.key !== PLACE) return;
      state = restored();
      show();
    });
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === at("note")) {
      if (event.key === "Escape") at("note").blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const chosen = choices.find((choice) => choice.key === key);
    const steps = {
      ArrowLeft: () => move(-1), ArrowRight: () => move(1), u: undo, e: download,
      i: () => at("file").click(), m: () => at("note").focus(),
    };
    if (question.several && event.target === document.body) steps.Enter = () => { advance(); keep(); show(); };
    const step = chosen ? () => choose(chosen.value) : steps[key];
    if (!step) return;
    event.preventDefault();
    step();
  }

  build();
  show();
})();
