// A table that is sorted by its heads and downloaded as CSV.

const LONGEST = 500;

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.0005 ? value.toExponential(1) : value.toFixed(3);
}

function shownOf(row, column) {
  return shown(row[column]);
}

// An estimate with its interval, "0.912 [0.875, 0.946]".
function estimateOf(row, column) {
  const [low, high] = [row[`${column}_low`], row[`${column}_high`]];
  if (low === undefined || low === null) return shown(row[column]);
  return `${row[column].toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

function inWords(column) {
  return column.replaceAll("_", " ");
}

function compared(a, b) {
  const none = (value) => value === null || value === undefined || Number.isNaN(value);
  // What is unknown stands last, whichever way the rest goes.
  if (none(a) || none(b)) return none(a) - none(b) || 0;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function sorted(rows, column, descending) {
  const none = (row) => row[column] === null || Number.isNaN(row[column]);
  return rows
    .slice()
    .sort((a, b) =>
      none(a) || none(b)
        ? compared(a[column], b[column])
        : compared(a[column], b[column]) * (descending ? -1 : 1),
    );
}

// Fill `holder` with the table; `columns` are those shown, in the words of `told`, and the CSV has all
// that `rows` have. `heads` are the words of columns that need others than their name.
function sortableTable(holder, { rows, columns, caption, file, told = shownOf, heads: headWords = {} }) {
  let by = null;
  let descending = false;
  const body = element("tbody");
  const note = element("p", { class: "note" });
  const heads = columns.map((column) => {
    const button = element("button", { type: "button", onclick: () => sortBy(column) }, headWords[column] ?? inWords(column));
    return element("th", { scope: "col", "aria-sort": "none" }, button);
  });

  function sortBy(column) {
    descending = by === column ? !descending : false;
    by = column;
    fill();
  }

  function ordered() {
    return by === null ? rows : sorted(rows, by, descending);
  }

  function fill() {
    heads.forEach((head, place) => {
      const state = columns[place] === by ? (descending ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", state);
    });
    const cells = (row) =>
      columns.map((column) =>
        element("td", { class: typeof row[column] === "number" ? "number" : null }, told(row, column)),
      );
    body.replaceChildren(
      ...ordered().slice(0, LONGEST).map((row) => element("tr", {}, ...cells(row))),
    );
    note.textContent =
      rows.length > LONGEST
        ? `The first ${LONGEST} of ${rows.length.toLocaleString("en")} rows; the CSV has all.`
        : rows.length
          ? ""
          : "The run has nothing for this table.";
    note.hidden = !note.textContent;
  }

  fill();
  const table = element(
    "table",
    {},
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...heads)),
    body,
  );
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
  const download = element(
    "button",
    { type: "button", class: "download", "aria-label": `Download ${file} as CSV`, onclick: () => save(file, csv(ordered(), columns)) },
    "Download CSV",
  );
  holder.replaceChildren(scroll, note, download);
}

// All that the rows have; of none, the heads of those that would be shown.
function csv(rows, shownColumns) {
  const quoted = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const columns = rows.length ? Object.keys(rows[0]) : shownColumns;
  const lines = rows.map((row) => columns.map((column) => quoted(row[column])).join(","));
  return [columns.join(","), ...lines].join("\n") + "\n";
}

function save(file, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = element("a", { href: url, download: file });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
