document.querySelectorAll("th button").forEach(button => button.addEventListener("click", () => {
  const th = button.closest("th"), body = th.closest("table").tBodies[0];
  const order = th.ariaSort === "ascending" ? "descending" : "ascending", sign = order === "ascending" ? 1 : -1;
  const value = row => row.cells[th.cellIndex].textContent;
  const compare = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
  th.parentNode.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  th.ariaSort = order;
}));
document.querySelector("#outlines")?.addEventListener("change", event =>
  document.body.classList.toggle("bare", !event.target.checked));
const lengthen = () => document.documentElement.classList.remove("short");
["pointerover", "keydown", "scroll", "beforeprint"].forEach(type =>
  addEventListener(type, lengthen, { capture: true, once: true }));
