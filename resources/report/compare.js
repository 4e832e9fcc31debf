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
  const described =
    `Of ${rows.length} prompts of both runs, counted for each model, ${up} have a higher SSI in ${data.run}, ` +
    `${down} a lower one, and ${rows.length - up - down} the same.`;
  document.getElementById("compare-words").textContent = described;
  const holder = document.getElementById("compare-chart");
  holder.hidden = !rows.length;
  if (rows.length) chart(holder, "compared", [...marks.values()], described);
  const renamed = (row) => ({
    model: row.model_a, prompt_id: row.prompt_id, [`ssi_${data.run}`]: row.ssi_a, [`ssi_${data.other.run}`]: row.ssi_b,
    ssi_change: row.ssi_a - row.ssi_b, labels_changed: row.change, n_labels: row.n_a,
  });
  const changes = rows.map(renamed).sort((a, b) => Math.abs(b.ssi_change) - Math.abs(a.ssi_change));
  sortableTable(document.getElementById("compare-prompts"), {
    rows: changes, columns: Object.keys(renamed({})), caption: "SSI of each prompt in both runs", file: "compare_prompts.csv",
  });
  const differences = rowsOf("differences", data.other.differences).filter((row) => row.judge === judge);
  sortableTable(document.getElementById("compare-differences"), {
    rows: differences, columns: ["model_a", "measure", "n", "value_a", "value_b", "difference", "difference_low", "difference_high", "p_holm"],
    caption: "Differences on the responses of both runs", file: "compare.csv",
  });
}

function startCompare() {
  const headline = [["run", data.run, rowsOf("models")], ["run", data.other.run, rowsOf("models", data.other.models)]];
  const columns = ["judge", "model", "run", "n_prompts", "n_responses", "mean_ssi", "flip_rate", "hard_flip_rate", "refusal_rate"];
  const rows = headline
    .flatMap(([, run, of]) => of.filter((row) => row.model !== ALL).map((row) => ({ run, ...row })))
    .sort((a, b) => compared(a.judge, b.judge) || compared(a.model, b.model));
  sortableTable(document.getElementById("compare-headline"), {
    rows, columns, caption: "The numbers of both runs", file: "compare_runs.csv",
  });
  const judge = document.getElementById("compare-judge");
  const common = [...new Set(rowsOf("prompts", data.other.prompts).map((row) => row.judge))];
  options(judge, (common.length ? common : data.judges).map((name) => [name, name]));
  judge.addEventListener("change", drawCompare);
  drawCompare();
}
