// What the page was given: names and tables at once, labels once they are unpacked.

const data = JSON.parse(document.getElementById("data").textContent);
const VALID = 3;
const NOTHING = 255;
const CHANCE_STEPS = 200;
const ALL = "all";
// Letters of the labels, so that nothing is told by colour alone; U, J, I and E are no labels.
const LETTERS = data.labels.map((label) => label[0]);
// What becomes of a prompt under one judge, from none to worst.
const NO_LABEL = 0, STABLE = 1, SOFT = 2, HARD = 3;
const size = {
  judges: data.judges.length,
  models: data.models.length,
  prompts: data.ids.length,
  temperatures: data.temperatures.length,
  seeds: data.seeds.length,
};
size.cells = size.temperatures * size.seeds;

const places = new Map(data.ids.map((id, place) => [id, place]));
let labels = null;
let chances = null;

async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function loadLabels() {
  const read = async (id) => new Uint8Array(await unpacked(document.getElementById(id).textContent));
  labels = await read("labels");
  if (document.getElementById("chances").textContent) chances = await read("chances");
}

// Where the labels of a prompt begin.
function start(judge, model, prompt) {
  return ((judge * size.models + model) * size.prompts + prompt) * size.cells;
}

// Of each prompt, under one judge on one model: `counts` of each label and of invalid ones, `ssi`
// (NaN without a valid label), `kind` of flip, and `seen`: at each temperature, which labels are
// there, as bits. Computed once.
const summaries = new Map();
function summary(judge, model) {
  const key = judge * size.models + model;
  if (!summaries.has(key)) summaries.set(key, summarise(judge, model));
  return summaries.get(key);
}

function summarise(judge, model) {
  const counts = new Uint32Array(size.prompts * (VALID + 1));
  const seen = new Uint8Array(size.prompts * size.temperatures);
  let at = start(judge, model, 0);
  for (let prompt = 0; prompt < size.prompts; prompt++) {
    for (let t = 0; t < size.temperatures; t++) {
      for (let s = 0; s < size.seeds; s++, at++) {
        const label = labels[at];
        if (label < VALID) {
          counts[prompt * 4 + label]++;
          seen[prompt * size.temperatures + t] |= 1 << label;
        } else if (label !== NOTHING) counts[prompt * 4 + VALID]++;
      }
    }
  }
  const ssi = new Float64Array(size.prompts);
  const kind = new Uint8Array(size.prompts);
  for (let prompt = 0; prompt < size.prompts; prompt++) {
    const [r, p, c] = counts.subarray(prompt * 4, prompt * 4 + VALID);
    const n = r + p + c;
    ssi[prompt] = n ? Math.max(r, p, c) / n : NaN;
    if (n) kind[prompt] = r && c ? HARD : (r > 0) + (p > 0) + (c > 0) > 1 ? SOFT : STABLE;
  }
  return { counts, seen, ssi, kind };
}

// The same over all models: counts are added, SSI is the mean, the kind is that of the worst model.
// Here `seen` has a place a model, not a temperature.
const wholes = new Map();
function wholeSummary(judge) {
  if (!wholes.has(judge)) wholes.set(judge, summariseAll(judge));
  return wholes.get(judge);
}

function summariseAll(judge) {
  const counts = new Uint32Array(size.prompts * (VALID + 1));
  const seen = new Uint8Array(size.prompts * size.models);
  const ssi = new Float64Array(size.prompts);
  const known = new Uint8Array(size.prompts);
  const kind = new Uint8Array(size.prompts);
  for (let model = 0; model < size.models; model++) {
    const of = summary(judge, model);
    for (let i = 0; i < counts.length; i++) counts[i] += of.counts[i];
    for (let prompt = 0; prompt < size.prompts; prompt++) {
      if (!Number.isNaN(of.ssi[prompt])) {
        ssi[prompt] += of.ssi[prompt];
        known[prompt]++;
      }
      kind[prompt] = Math.max(kind[prompt], of.kind[prompt]);
      for (let label = 0; label < VALID; label++)
        if (of.counts[prompt * 4 + label]) seen[prompt * size.models + model] |= 1 << label;
    }
  }
  for (let prompt = 0; prompt < size.prompts; prompt++) ssi[prompt] /= known[prompt];
  return { counts, seen, ssi, kind };
}

// "R", "RC" ... of bits.
function lettersOf(bits) {
  return LETTERS.slice(0, VALID).filter((_, label) => bits & (1 << label)).join("");
}

// Rows of a table as objects.
function rowsOf(name, table = data.tables[name]) {
  return table.rows.map((row) => Object.fromEntries(table.columns.map((c, i) => [c, row[i]])));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) made.setAttribute(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  // Text stays text, whatever it holds.
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
}
