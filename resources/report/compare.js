// Two runs side by side, where a second one was given.

function drawCompare() {
  const judge = document.getElementById("compare-judge").value;
  const rows = rowsOf("prompts", data.other.prompts).filter((row) => row.judge === judge);
  const marks = new Map();
  for (const { model_a: model, ssi_a: here, ssi_b: there } of rows) {
    const key = `${model} ${here} ${there}`;
    if (!marks.has(key)) marks.set(key, { model, here, there, n: 0 });
    marks.get(key).n++;
  }
  const up = rows.filter((row) => row.ssi_a > row.ssi_b).length;
  const down = rows.filter((row) => row.ssi_a < row.ssi_b).length;
  const described = !rows.length
    ? "No prompt has labels of one judge and one model in both runs: below is what each run says of its own."
    : `Of ${rows.length} prompts of both runs, counted for each model, ${up} have a higher SSI in ${data.run}, ` +
    `${down} a lower one, and ${rows.length - up - down} the same.`;
  document.getElementById("compare-words").textContent = described;
  const holder = document.getElementById("compare-chart");
  holder.hidden = !rows.length;
  if (rows.length) chart(holder, "compared", [...marks.values()], described);
  // A run may be called as any column is.
  const heads = { this_run: data.run, other_run: data.other.run };
  const both = `${data.run}_and_${data.other.run}`;
  const changes = rows
    .map((row) => ({
      model: row.model_a, prompt_id: row.prompt_id, this_run: row.ssi_a, other_run: row.ssi_b,
      change_of_ssi: row.ssi_a - row.ssi_b, labels_that_differ: row.change, n: row.n_a,
    }))
    .sort((a, b) => Math.abs(b.change_of_ssi) - Math.abs(a.change_of_ssi));
  sortableTable(document.getElementById("compare-prompts"), {
    rows: changes, columns: Object.keys(changes[0] ?? {}), caption: "SSI of each prompt in both runs", file: `${both}_prompts.csv`,
    heads,
  });
  const differences = rowsOf("differences", data.other.differences)
    .filter((row) => row.judge === judge)
    .map(({ judge: _, model_a: model, measure, n, value_a, value_b, ...rest }) => ({
      model, measure: inWords(measure), n, this_run: value_a, other_run: value_b, ...rest,
    }));
  sortableTable(document.getElementById("compare-differences"), {
    rows: differences, columns: ["model", "measure", "n", "this_run", "other_run", "difference", "p_holm"],
    caption: "Differences on the responses of both runs", file: `${both}.csv`, heads, told: estimateOf,
  });
}

function startCompare() {
  const both = [[data.run, rowsOf("models")], [data.other.run, rowsOf("models", data.other.models)]];
  const columns = ["judge", "model", "run", "n_responses", "mean_ssi", "flip_rate", "hard_flip_rate", "refusal_rate"];
  const rows = both
    .flatMap(([run, of]) => of.filter((row) => row.model !== ALL).map((row) => ({ run, ...row })))
    .sort((a, b) => compared(a.judge, b.judge) || compared(a.model, b.model));
  sortableTable(document.getElementById("compare-headline"), {
    rows, columns, caption: "The numbers of both runs", file: "compare_runs.csv", told: estimateOf,
  });
  const judge = document.getElementById("compare-judge");
  const common = [...new Set(rowsOf("prompts", data.other.prompts).map((row) => row.judge))];
  options(judge, (common.length ? common : data.judges).map((name) => [name, name]));
  judge.addEventListener("change", drawCompare);
  drawCompare();
}
