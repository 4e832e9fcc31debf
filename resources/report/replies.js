// Replies: unpacked for one prompt at a time, and the words in which they differ.

let consented = false;
const texts = new Map();

// {prompt, replies, cells, cut} of a prompt; null where its text is not in the page.
async function textOf(prompt) {
  if (!texts.size)
    JSON.parse(document.getElementById("text").textContent).forEach((one, place) => texts.set(place, one));
  const packed = texts.get(prompt);
  return packed ? JSON.parse(new TextDecoder().decode(await unpacked(packed))) : null;
}

// The words of a text, each with the space behind it.
function words(text) {
  return text.match(/^\s+|\S+\s*/gu) ?? [];
}

// Longer pairs of texts are not aligned: it would take a table of so many places.
const MOST_PLACES = 4e6;

// Which words of `text` are not in the longest common run of words with `other`: an array of bool.
function differing(text, other) {
  const [a, b] = [text, other].map((one) => words(one).map((word) => word.trim()));
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) first++;
  let last = 0;
  while (last < a.length - first && last < b.length - first && a.at(-1 - last) === b.at(-1 - last)) last++;
  const [m, n] = [a.length - first - last, b.length - first - last];
  const differs = a.map((_, at) => at >= first && at < a.length - last);
  if (!m || !n || m * n > MOST_PLACES) return differs;
  const width = n + 1;
  const common = new Uint16Array((m + 1) * width);
  for (let i = m - 1; i >= 0; i--)
    for (let j = n - 1; j >= 0; j--)
      common[i * width + j] =
        a[first + i] === b[first + j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  for (let i = 0, j = 0; i < m && j < n; ) {
    if (a[first + i] === b[first + j]) {
      differs[first + i] = false;
      i++;
      j++;
    } else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) i++;
    else j++;
  }
  return differs;
}

// A reply as text, words that `other` lacks marked; without `other`, as it is.
function markedReply(text, other) {
  const holder = element("div", { class: "reply" });
  if (other === null || other === text) {
    holder.append(text || "(an empty reply)");
    return holder;
  }
  const differs = differing(text, other);
  let run = "";
  let marked = false;
  const flush = () => {
    const end = run.trimEnd();
    if (run) holder.append(marked ? element("mark", {}, end) : run, marked ? run.slice(end.length) : "");
    run = "";
  };
  words(text).forEach((word, at) => {
    if (differs[at] !== marked) flush();
    marked = differs[at];
    run += word;
  });
  flush();
  if (!text) holder.append("(an empty reply)");
  return holder;
}
