// Charts: drawn when they are first seen, and again when the colours of the page change.

const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [text, quiet, line] = [colour("--text"), colour("--quiet"), colour("--line")];
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    view: { stroke: null },
    axis: {
      labelColor: text, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelPadding: 6,
    },
    legend: { labelColor: text, titleColor: quiet, titleFontWeight: "normal" },
    rule: { color: text },
    tick: { color: text },
  };
}

// A measure of a row as the charts take it; without an interval, its line is a point.
function estimate(row, measure) {
  const [value, low, high] = [row[measure], row[`${measure}_low`], row[`${measure}_high`]];
  return { value, low, high, from: low ?? value, to: high ?? value };
}

// Where the intervals of models at one temperature stand: a little apart.
function withPlaces(rows) {
  const range = Math.max(...rows.map((row) => row.temperature)) - Math.min(...rows.map((row) => row.temperature));
  const middle = (size.models - 1) / 2;
  return rows.map((row) => ({
    ...row, at: row.temperature + (data.models.indexOf(row.model) - middle) * Math.min(0.012, 0.06 / size.models) * range,
  }));
}

// Draw the chart `name` into `holder` with `rows`; `described` is its alternative text.
async function chart(holder, name, rows, described, { chosen = [], onmodel = null } = {}) {
  const known = drawn.get(holder);
  const wanted = { name, rows, described, chosen, onmodel };
  if (known && known.view && known.name === name && known.theme === dark.matches) {
    drawn.set(holder, { ...known, ...wanted });
    holder.setAttribute("aria-label", described);
    if (known.rows !== rows) known.view.data("rows", rows.map((row) => ({ ...row })));
    if (onmodel) known.view.signal("chosen", chosen);
    return known.view.runAsync();
  }
  const turn = (known?.turn ?? 0) + 1;
  drawn.set(holder, { ...wanted, turn, view: null, theme: dark.matches });
  known?.view?.finalize();
  const spec = { ...data.charts[name], datasets: { ...data.charts[name].datasets, rows } };
  const { view } = await vegaEmbed(holder, spec, {
    actions: false, renderer: "svg", ast: true, config: theme(), tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  const latest = drawn.get(holder);
  if (latest.turn !== turn) return view.finalize();
  latest.view = view;
  // A picture with a description; its numbers are in a table.
  holder.setAttribute("role", "img");
  holder.setAttribute("aria-label", latest.described);
  if (onmodel) {
    view.addEventListener("click", (_, item) => item?.datum?.model && drawn.get(holder).onmodel(item.datum.model));
    view.signal("chosen", latest.chosen);
  }
  if (latest.rows !== rows) view.data("rows", latest.rows.map((row) => ({ ...row })));
  return view.runAsync();
}

dark.addEventListener("change", () => {
  for (const [holder, { name, rows, described, chosen, onmodel }] of drawn)
    chart(holder, name, rows, described, { chosen, onmodel });
});
