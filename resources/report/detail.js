// One prompt: its cells as a grid of temperature x seed, and those that are picked side by side.

const MOST_PICKED = 4;
const detail = { prompt: null, picked: [], opener: null };
const dialog = document.getElementById("detail");

function part(name) {
  return document.getElementById(`detail-${name}`);
}

function labelAt(judge, cell) {
  return labels[start(judge, cell.model, detail.prompt) + cell.at];
}

function verdict(judge, cell) {
  const code = labelAt(judge, cell);
  if (code === NOTHING) return "no verdict";
  const chance = chances?.[start(judge, cell.model, detail.prompt) + cell.at] ?? NOTHING;
  const sure = chance === NOTHING ? "" : ` ${((100 * chance) / CHANCE_STEPS).toFixed(chance % 2 ? 1 : 0)}%`;
  return `${data.labels[code]}${sure}`;
}

function cellName(cell) {
  const t = Math.floor(cell.at / size.seeds);
  return `T ${data.temperatures[t]}, seed ${data.seeds[cell.at % size.seeds]}`;
}

function sameCell(a, b) {
  return a.model === b.model && a.at === b.at;
}

// One cell of each label, of the first model that flips: where there is most to see.
function pickFirst(judge, models) {
  const flipping = models.find((model) => summary(judge, model).kind[detail.prompt] >= SOFT) ?? models[0];
  const firsts = new Map();
  for (let at = 0; at < size.cells; at++) {
    const code = labelAt(judge, { model: flipping, at });
    if (code < VALID && !firsts.has(code)) firsts.set(code, { model: flipping, at });
  }
  detail.picked = [...firsts.keys()].sort().map((code) => firsts.get(code));
}

function pick(cell) {
  const kept = detail.picked.filter((one) => !sameCell(one, cell));
  if (kept.length === detail.picked.length) kept.push(cell);
  detail.picked = kept.slice(-MOST_PICKED);
  for (const button of dialog.querySelectorAll(".cell"))
    button.setAttribute("aria-pressed", detail.picked.some((one) => sameCell(one, button.cell)));
  drawPicked();
}

function grid(judge, model) {
  const { counts, ssi, kind } = summary(judge, model);
  const of = counts.subarray(detail.prompt * 4, detail.prompt * 4 + 4);
  const body = element("tbody");
  for (let t = 0; t < size.temperatures; t++) {
    const row = element("tr", {}, element("th", { scope: "row" }, `T ${data.temperatures[t]}`));
    for (let s = 0; s < size.seeds; s++) row.append(element("td", {}, cellButton(judge, { model, at: t * size.seeds + s })));
    body.append(row);
  }
  const heads = data.seeds.map((seed) => element("th", { scope: "col" }, String(seed)));
  const table = element(
    "table",
    { class: "cells", onkeydown: moveInGrid },
    element("caption", { class: "unseen" }, `Labels of ${data.models[model]} by temperature and seed`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "seed"), ...heads)),
    body,
  );
  // One stop of the tab key a grid; arrows move within.
  table.querySelector("button").tabIndex = 0;
  const told = Number.isNaN(ssi[detail.prompt]) ? "no valid label" : `SSI ${ssi[detail.prompt].toFixed(2)}`;
  return element(
    "section",
    { class: "of-model" },
    element("h3", {}, data.models[model]),
    element("p", { class: "note" }, `${told}, ${KINDS[kind[detail.prompt]]} `, ...[0, 1, 2].map((code) => label(code, of[code]))),
    element("div", { class: "scroll" }, table),
  );
}

function cellButton(judge, cell) {
  const code = labelAt(judge, cell);
  const others = data.judges.map((_, one) => one).filter((one) => one !== judge);
  const differs = others.filter((one) => labelAt(one, cell) !== NOTHING && labelAt(one, cell) !== code);
  const said = [verdict(judge, cell), ...differs.map((one) => `${data.judges[one]}: ${verdict(one, cell)}`)].join("; ");
  const kind = code === NOTHING ? "none" : code < VALID ? code : "invalid";
  const button = element(
    "button",
    {
      type: "button", class: `cell l l${kind}${differs.length ? " differs" : ""}`, tabindex: "-1", title: `${cellName(cell)}: ${said}`,
      "aria-label": `${cellName(cell)}: ${said}`, "aria-pressed": detail.picked.some((one) => sameCell(one, cell)), onclick: () => pick(cell),
    },
    code === NOTHING ? "·" : LETTERS[code],
  );
  button.cell = cell;
  return button;
}

function moveInGrid(event) {
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: size.seeds, ArrowUp: -size.seeds };
  const to = buttons[buttons.indexOf(document.activeElement) + steps[event.key]];
  if (!(event.key in steps) || !to) return;
  buttons.forEach((button) => (button.tabIndex = -1));
  to.tabIndex = 0;
  to.focus();
  event.preventDefault();
}

async function drawPicked() {
  const { prompt, picked } = detail;
  const text = data.has_text && consented ? await textOf(prompt) : null;
  // Another prompt may have been opened meanwhile.
  if (detail.prompt !== prompt || detail.picked !== picked) return;
  const reply = (cell) => text?.replies[text.cells[cell.model * size.cells + cell.at]] ?? null;
  // What the others are compared with, and what that is compared with.
  const [first, second] = picked.filter((cell) => reply(cell) !== null).map(reply);
  const cut = (cell) => text?.cut.includes(text.cells[cell.model * size.cells + cell.at]);
  part("text").hidden = !text;
  part("text").textContent = text ? text.prompt : "";
  part("missing").hidden = !(data.has_text && consented && !text);
  const columns = picked.map((cell) => {
    const verdicts = data.judges.map((name, judge) =>
      element("li", {}, `${name}: `, label(labelAt(judge, cell)), ` ${verdict(judge, cell)}`),
    );
    const column = element(
      "section",
      { class: "picked" },
      element("h4", {}, `${data.models[cell.model]}, ${cellName(cell)}`),
      element("ul", {}, ...verdicts),
    );
    if (text) {
      const own = reply(cell);
      column.append(
        own === null ? element("p", { class: "note" }, "No reply.") : markedReply(own, own === first ? (second ?? null) : first),
      );
      if (cut(cell)) column.append(element("p", { class: "note" }, "Cut off at max_tokens."));
    }
    return column;
  });
  part("picked").replaceChildren(...columns);
  part("marks").hidden = second === undefined;
}

function drawDetail() {
  const { judge, model } = found.of;
  const models = model === null ? data.models.map((_, place) => place) : [model];
  const at = found.places.indexOf(detail.prompt);
  part("title").textContent = data.ids[detail.prompt];
  part("group").textContent = groupText(detail.prompt);
  part("judge").textContent = data.judges[judge];
  part("other").hidden = size.judges < 2;
  part("previous").disabled = at <= 0;
  part("next").disabled = at < 0 || at >= found.places.length - 1;
  part("consent").hidden = !data.has_text || consented;
  pickFirst(judge, models);
  part("grids").replaceChildren(...models.map((one) => grid(judge, one)));
  dialog.querySelector(".inside").scrollTop = 0;
  drawPicked();
}

function openPrompt(prompt) {
  detail.prompt = prompt;
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#prompts/${encodeURIComponent(data.ids[prompt])}`);
  drawDetail();
}

function step(by) {
  const at = found.places.indexOf(detail.prompt) + by;
  if (!(at in found.places)) return;
  found.list.move(at);
  openPrompt(found.places[at]);
}

function startDetail() {
  part("close").addEventListener("click", () => dialog.close());
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("show").addEventListener("click", () => {
    consented = true;
    part("consent").hidden = true;
    drawPicked();
    part("title").focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    part("text").textContent = "";
    part("picked").replaceChildren();
    history.replaceState(null, "", "#prompts");
    control("list").focus();
  });
}
