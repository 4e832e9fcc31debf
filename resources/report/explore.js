// Explore: one measure at a time, by everything that it can be taken by; a model that is chosen
// stands out in every chart and alone in every table.

const MEASURES = {
  mean_ssi: "Mean SSI",
  flip_rate: "Flip rate",
  hard_flip_rate: "Hard flip rate",
  refusal_rate: "Refusal rate",
  partial_rate: "Rate of PARTIAL",
  comply_rate: "Compliance rate",
  unstable_rate: "Share of unstable prompts",
  pair_disagreement: "Pair disagreement",
};
// By the name of the chart: its table, the columns that tell its rows apart, and its words.
const VIEWS = [
  ["models", "models", ["model"], "by model"],
  ["temperature", "within_temperature", ["model", "temperature"], "by temperature"],
  ["judges", "models", ["judge", "model"], "by judge"],
  ["scoring", "scoring", ["model", "scoring"], "by scoring"],
  ...Object.keys(data.groupings).map((name) => [name, "categories", ["group", "model"], `by ${name}`]),
];
// Pixels of a panel besides its chart, roughly.
const PANEL = 150;
const explore = { judge: data.judges[0], measure: "mean_ssi", chosen: [] };

function exploreRows(name, table) {
  return rowsOf(table).filter(
    (row) =>
      row.model !== ALL &&
      (name === "judges" || row.judge === explore.judge) &&
      (table !== "categories" || row.grouping === name),
  );
}

function exploreView([name, table, keys, words]) {
  const measure = explore.measure;
  const every = exploreRows(name, table);
  const title = `${MEASURES[measure]} ${words}`;
  const marks = every
    .filter((row) => row[measure] !== null && (table !== "categories" || data.charted[name].includes(row.group)))
    .map((row) => ({
      ...Object.fromEntries(keys.map((key) => [key, row[key]])),
      ...estimate(row, measure),
    }));
  const part = document.getElementById(`explore-${name}`);
  part.querySelector("h3").textContent = title;
  const told = marks
    .slice(0, 12)
    .map((row) => `${keys.map((key) => row[key]).join(", ")}: ${shown(row.value)}`)
    .join("; ");
  const more = marks.length > 12 ? "; and more, in the table below" : "";
  const described = `${title}, with 95% intervals. ${told || "Nothing to draw"}${more}.`;
  const [drawn, of] = [data.charted[name]?.length ?? 0, new Set(every.map((row) => row.group)).size];
  const some = part.querySelector(".some");
  some.hidden = table !== "categories" || drawn >= of;
  some.textContent = `Drawn: the ${drawn} of ${of.toLocaleString("en")} with the most prompts. The table has all.`;
  const holder = part.querySelector(".chart");
  holder.hidden = !marks.length;
  part.querySelector(".nothing").hidden = marks.length > 0;
  const placed = name === "temperature" ? withPlaces(marks) : marks;
  if (marks.length) chart(holder, name, placed, described, { chosen: explore.chosen, onmodel: choose });
  const kept = every.filter((row) => !explore.chosen.length || explore.chosen.includes(row.model));
  const columns = [...keys, "n_prompts", "n_invalid", measure, `${measure}_low`, `${measure}_high`];
  sortableTable(part.querySelector(".table"), { rows: kept, columns, caption: title, file: `${name}_${measure}.csv` });
}

function drawExplore() {
  for (const button of document.querySelectorAll("#chips button"))
    button.setAttribute("aria-pressed", explore.chosen.includes(button.value));
  VIEWS.forEach(exploreView);
}

function choose(model) {
  const { chosen } = explore;
  explore.chosen = chosen.includes(model) ? chosen.filter((one) => one !== model) : [...chosen, model];
  drawExplore();
}

function drawTable(name) {
  const table = data.tables[name];
  sortableTable(document.getElementById("any-table"), {
    rows: rowsOf(name), columns: table.columns, caption: `Table ${inWords(name)}`, file: `${name}.csv`,
  });
}

function startExplore() {
  // Two columns that stay as they are when a panel is opened, each next panel in the shorter one.
  const columns = [0, 1].map(() => ({ height: 0, holder: element("div") }));
  document.getElementById("explore-grid").append(...columns.map((column) => column.holder));
  for (const [name, , , words] of VIEWS) {
    const column = columns[columns[1].height < columns[0].height ? 1 : 0];
    column.height += PANEL + data.charts[name].height;
    column.holder.append(
      element(
        "article",
        { id: `explore-${name}`, class: "panel" },
        element("h3", {}, words),
        element("p", { class: "some note", hidden: true }),
        element("div", { class: "chart" }),
        element("p", { class: "nothing note", hidden: true }, "Nothing to draw: the run has no such estimate."),
        element("details", {}, element("summary", {}, "The numbers", element("span", { class: "unseen" }, ` ${words}`)), element("div", { class: "table" })),
      ),
    );
  }
  const judge = document.getElementById("explore-judge");
  options(judge, data.judges.map((name) => [name, name]));
  judge.addEventListener("change", () => { explore.judge = judge.value; drawExplore(); });
  const measure = document.getElementById("explore-measure");
  options(measure, Object.entries(MEASURES));
  measure.addEventListener("change", () => { explore.measure = measure.value; drawExplore(); });
  document.getElementById("chips").append(
    ...data.models.map((model, place) =>
      element(
        "button",
        { type: "button", class: `chip m${place % 7}`, value: model, "aria-pressed": "false", onclick: () => choose(model) },
        element("span", { "aria-hidden": "true" }, "●■▲◆▼✚▶"[place % 7]),
        ` ${model}`,
      ),
    ),
  );
  const any = document.getElementById("any-name");
  options(any, Object.keys(data.tables).map((name) => [name, inWords(name)]));
  any.addEventListener("change", () => drawTable(any.value));
  drawTable(any.value);
  drawExplore();
}
