// The list of all prompts: filtered and sorted as the controls say.

const KINDS = ["no valid label", "stable", "soft flip", "hard flip"];
// As many marks of a row have their names in the head.
const NAMED = 6;
const found = { list: null, places: [], of: null };

function control(name) {
  return document.getElementById(`prompts-${name}`);
}

function chosenModel() {
  return control("model").value === ALL ? null : Number(control("model").value);
}

// Does a prompt flip where it is asked for? Of one model, at a temperature or only between them.
function flipsAt(prompt, where, models, judge) {
  return models.some((model) => {
    const { seen, kind } = summary(judge, model);
    if (kind[prompt] < SOFT) return false;
    const of = seen.subarray(prompt * size.temperatures, (prompt + 1) * size.temperatures);
    const flips = (bits) => (bits & (bits - 1)) !== 0;
    return where === "between" ? !of.some(flips) : flips(of[Number(where)]);
  });
}

function filterPrompts() {
  const judge = Number(control("judge").value);
  const model = chosenModel();
  const models = model === null ? data.models.map((_, place) => place) : [model];
  const of = model === null ? wholeSummary(judge) : summary(judge, model);
  const kinds = { any: null, flip: [SOFT, HARD], hard: [HARD], soft: [SOFT], stable: [STABLE], none: [NO_LABEL] }[control("kind").value];
  const where = control("where").value;
  const wanted = control("search").value.trim().toLowerCase();
  const groups = Object.entries(data.groupings)
    .map(([name, grouping]) => [grouping.of, control(name).value])
    .filter(([, value]) => value !== "any")
    .map(([places, value]) => [places, Number(value)]);
  const warned = control("warning").dataset.of;
  const only = warned === "" ? null : new Set(data.warnings[Number(warned)].prompts);
  const kept = [];
  for (let prompt = 0; prompt < size.prompts; prompt++) {
    if (kinds && !kinds.includes(of.kind[prompt])) continue;
    if (only && !only.has(prompt)) continue;
    if (groups.some(([places, value]) => places[prompt] !== value)) continue;
    if (wanted && !data.ids[prompt].toLowerCase().includes(wanted)) continue;
    if (where !== "any" && !flipsAt(prompt, where, models, judge)) continue;
    kept.push(prompt);
  }
  const share = (prompt, label) => {
    const counts = of.counts.subarray(prompt * 4, prompt * 4 + VALID);
    return counts[label] / (counts[0] + counts[1] + counts[2]);
  };
  const order = control("sort").value;
  const value = {
    ssi: (prompt) => of.ssi[prompt],
    stable: (prompt) => -of.ssi[prompt],
    refuse: (prompt) => -share(prompt, 0),
    comply: (prompt) => -share(prompt, 2),
    order: (prompt) => prompt,
  }[order];
  // Those without a value stand last.
  const key = new Map(kept.map((prompt) => [prompt, Number.isNaN(value(prompt)) ? Infinity : value(prompt)]));
  kept.sort((a, b) => key.get(a) - key.get(b) || a - b);
  found.places = kept;
  found.of = { ...of, judge, model };
  found.list.show(kept.length);
  const total = size.prompts.toLocaleString("en");
  control("count").textContent = `${kept.length.toLocaleString("en")} of ${total} prompts`;
  control("empty").hidden = kept.length > 0;
  const [by, names] = model === null ? ["model", data.models] : ["temperature", data.temperatures];
  control("strip-head").textContent =
    `By ${by}${names.length > NAMED ? ", in the run's order" : `: ${names.join(", ")}`}`;
}

function label(code, count = null) {
  const letter = code < VALID ? LETTERS[code] : code === NOTHING ? "" : LETTERS[code];
  const text = count === null ? letter : `${letter} ${count}`;
  return element("span", { class: `l l${code < VALID ? code : code === NOTHING ? "0none" : "invalid"}` }, text);
}

function bar(counts) {
  const total = counts[0] + counts[1] + counts[2];
  const parts = [0, 1, 2].map((code) => {
    const part = element("span", { class: `b b${code}` });
    part.style.flexGrow = counts[code];
    return part;
  });
  return element("span", { class: "bar", "aria-hidden": "true" }, ...(total ? parts.filter((_, code) => counts[code]) : []));
}

function groupText(prompt) {
  return Object.values(data.groupings).map((grouping) => grouping.values[grouping.of[prompt]]).join(" · ");
}

function promptRow(place) {
  const prompt = found.places[place];
  const { counts, seen, ssi, kind, model } = found.of;
  const of = Array.from(counts.subarray(prompt * 4, prompt * 4 + 4));
  const names = model === null ? data.models : data.temperatures.map((t) => `T ${t}`);
  const bits = Array.from(seen.subarray(prompt * names.length, (prompt + 1) * names.length));
  const strip = bits.map((one, at) =>
    element("span", { class: `s${one & (one - 1) ? " mixed" : ""}`, title: names[at] }, lettersOf(one) || "·"),
  );
  const told = Number.isNaN(ssi[prompt]) ? "no SSI" : `SSI ${ssi[prompt].toFixed(2)}`;
  const said = bits.map((one, at) => `${names[at]} ${lettersOf(one).split("").join(" and ") || "none"}`).join(", ");
  const description =
    `${data.ids[prompt]}, ${groupText(prompt)}, ${told}, ${KINDS[kind[prompt]]}, ` +
    `${of[0]} refuse, ${of[1]} partial, ${of[2]} comply${of[3] ? `, ${of[3]} invalid` : ""}; ${said}`;
  return element(
    "div",
    { class: "row", role: "option", "aria-label": description },
    element("span", { class: "id" }, data.ids[prompt]),
    element("span", { class: "group" }, groupText(prompt)),
    element("span", { class: "ssi" }, Number.isNaN(ssi[prompt]) ? "–" : ssi[prompt].toFixed(2)),
    element("span", { class: `kind k${kind[prompt]}` }, KINDS[kind[prompt]]),
    bar(of),
    element(
      "span",
      { class: "counts" },
      ...[0, 1, 2].map((code) => label(code, of[code])),
      of[3] ? element("span", { class: "l linvalid", title: "invalid" }, `? ${of[3]}`) : null,
    ),
    element("span", { class: "strip" }, ...strip),
  );
}

function showWarned(warning) {
  control("warning").dataset.of = warning;
  control("warning").hidden = warning === "";
  if (warning !== "") control("warning").querySelector("span").textContent = data.warnings[Number(warning)].words;
}

// All prompts behind a warning and no others, under the judge and of the model that it is about.
function onlyWarned(warning) {
  const { judge, model } = data.warnings[warning];
  if (judge !== null) control("judge").value = judge;
  control("model").value = model;
  for (const name of ["kind", "where", ...Object.keys(data.groupings)]) control(name).value = "any";
  control("search").value = "";
  showWarned(String(warning));
  filterPrompts();
}

function startPrompts() {
  options(control("judge"), data.judges.map((name, place) => [place, name]));
  const models = data.models.map((name, place) => [place, name]);
  options(control("model"), models.length > 1 ? [[ALL, "all models"], ...models] : models);
  options(control("where"), [
    ["any", "anywhere"],
    ...data.temperatures.map((t, place) => [place, `within T ${t}`]),
    ...(size.temperatures > 1 ? [["between", "only between temperatures"]] : []),
  ]);
  for (const [name, grouping] of Object.entries(data.groupings))
    options(control(name), [["any", "all"], ...grouping.values.map((value, place) => [place, value])]);
  const narrow = matchMedia("(max-width: 64rem)");
  // Lines of labels, as many as the style has in one.
  const lines = () => Math.ceil((found.of.model === null ? size.models : size.temperatures) / (narrow.matches ? 6 : 5));
  found.list = new VirtualList(control("list"), {
    row: promptRow,
    open: (place) => openPrompt(found.places[place]),
    height: () => (narrow.matches ? 84 + 21 * lines() : Math.max(46, 8 + 21 * lines())),
  });
  for (const name of ["judge", "model", "kind", "where", "sort", ...Object.keys(data.groupings)])
    control(name).addEventListener("change", filterPrompts);
  control("search").addEventListener("input", filterPrompts);
  control("warning").querySelector("button").addEventListener("click", () => {
    showWarned("");
    filterPrompts();
  });
  filterPrompts();
}
