// A list of which only the rows in sight exist. Keys: up, down, page, home, end, enter.

class VirtualList {
  // `row(place)` gives the element of a row, which is `height()` pixels high; `open(place)` is told
  // of a click or enter.
  constructor(holder, { row, open, height }) {
    Object.assign(this, { holder, row, open, height, count: 0, active: 0 });
    this.space = element("div", { class: "space", role: "presentation" });
    holder.replaceChildren(this.space);
    holder.addEventListener("scroll", () => this.draw(), { passive: true });
    holder.addEventListener("keydown", (event) => this.key(event));
    holder.addEventListener("click", (event) => {
      const place = event.target.closest("[data-place]")?.dataset.place;
      if (place === undefined) return;
      this.active = Number(place);
      this.draw();
      open(this.active);
    });
    new ResizeObserver(() => this.draw()).observe(holder);
  }

  show(count) {
    this.count = count;
    this.active = 0;
    this.holder.scrollTop = 0;
    this.draw();
  }

  draw() {
    const height = this.height();
    this.space.style.height = `${this.count * height}px`;
    const first = Math.max(0, Math.floor(this.holder.scrollTop / height) - 4);
    const last = Math.min(this.count, first + Math.ceil(this.holder.clientHeight / height) + 8);
    const rows = [];
    for (let place = first; place < last; place++) {
      const made = this.row(place);
      made.style.height = `${height}px`;
      made.style.transform = `translateY(${place * height}px)`;
      made.dataset.place = place;
      made.id = `${this.holder.id}-${place}`;
      made.setAttribute("aria-posinset", place + 1);
      made.setAttribute("aria-setsize", this.count);
      made.setAttribute("aria-selected", place === this.active);
      rows.push(made);
    }
    this.space.replaceChildren(...rows);
    const inSight = this.active >= first && this.active < last;
    if (inSight) this.holder.setAttribute("aria-activedescendant", `${this.holder.id}-${this.active}`);
    else this.holder.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.holder.clientHeight / this.height()) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    if (event.key in steps) this.move(this.active + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.count && this.open(this.active);
    else return;
    event.preventDefault();
  }

  move(place) {
    this.active = Math.min(Math.max(place, 0), Math.max(0, this.count - 1));
    const [top, height] = [this.active * this.height(), this.height()];
    const { scrollTop, clientHeight } = this.holder;
    if (top < scrollTop) this.holder.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.holder.scrollTop = top + height - clientHeight;
    this.draw();
  }
}
