// Which view is seen; each is started when it is first asked for.

const views = [...document.querySelectorAll("main > section")].map((section) => section.id);
const starts = { explore: startExplore, prompts: startPrompts, compare: startCompare };
const started = new Set();

function startAnswer() {
  const mine = (row) => row.model !== ALL && row.judge === data.judges[0];
  const flips = rowsOf("models")
    .filter((row) => mine(row) && row.flip_rate !== null)
    .map((row) => ({ model: row.model, flips: row.flip_rate, low: row.flip_rate_low, high: row.flip_rate_high, hard: row.hard_flip_rate }));
  draw("picture", "flips", flips, "Share of prompts whose replies have more than one label", (row) =>
    `${row.model} ${shown(row.flips)}, hard ${shown(row.hard)}`);
  const ssi = rowsOf("within_temperature")
    .filter((row) => mine(row) && row.mean_ssi !== null)
    .map((row) => ({ model: row.model, temperature: row.temperature, ...estimate(row, "mean_ssi") }));
  draw("by-temperature", "temperature", withPlaces(ssi), "Mean SSI by temperature", (row) => `${row.model} at ${row.temperature}: ${shown(row.value)}`);
}

function draw(id, name, rows, title, told) {
  const holder = document.getElementById(id);
  if (!rows.length) holder?.closest("figure").remove();
  else if (holder)
    chart(holder, name, rows, `${title}, with 95% intervals. ${rows.map(told).join("; ")}.`);
}

async function show() {
  const [name, id] = location.hash.slice(1).split("/").map(decoded);
  const view = views.includes(name) ? name : views[0];
  for (const one of views) document.getElementById(one).hidden = one !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "prompts") await unpacking;
  if (!started.has(view)) {
    started.add(view);
    starts[view]?.();
  }
  if (view === "prompts" && places.has(id)) openPrompt(places.get(id));
}

// What an address says may have been cut on its way here.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const unpacking = loadLabels();
startDetail();
startAnswer();
for (const [place, button] of document.querySelectorAll("button.warned").entries())
  button.addEventListener("click", async () => {
    location.hash = "#prompts";
    await show();
    onlyWarned(place);
  });
addEventListener("hashchange", () => {
  show();
  scrollTo(0, 0);
});
show();
