"""Looks and behaviour of the page: no font, script or picture comes from elsewhere."""

CSS = """
:root { --ink: #17202b; --soft: #5b6876; --line: #dfe4ea; --paper: #fff; --ground: #f4f6f8; --accent: #0b6e8f;
  --lesion: #ffb31a; --brain: #35d0c0; --film: #06080b; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2rem; }
h1 { margin: 0.1rem 0 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.02em; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.2rem; font-size: 1.15rem; letter-spacing: -0.01em; }
.kicker { color: var(--soft); margin: 0; }
.summary { margin: 0.4rem 0 0; font-size: 1.1rem; }
.research { background: #22303d; color: #fff; padding: 0.45rem 1.5rem; text-align: center; font-size: 0.87rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; margin: 1.1rem 0;
  padding: 1.2rem 1.3rem 1.3rem; }
.hint { color: var(--soft); margin: 0 0 0.9rem; max-width: 80ch; font-size: 0.92rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(120px, 1fr)); gap: 0.8rem; margin: 1.1rem 0 0; }
.cards div { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 0.7rem 1rem; }
.cards b { display: block; white-space: nowrap; font-size: 1.7rem; line-height: 1.15; font-weight: 650; }
.cards span { color: var(--soft); font-size: 0.87rem; }
.warnings { background: #fff6e0; border-color: #efc25c; }
.warnings ul, .limits ul { margin: 0.3rem 0 0; padding-left: 1.2rem; }
.scroll { max-height: 30rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th { position: sticky; top: 0; background: #eef2f5; text-align: right; white-space: nowrap; padding: 0; }
th button { all: unset; cursor: pointer; padding: 0.45rem 0.75rem; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
th[aria-sort] { color: var(--accent); }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; }
td { padding: 0.3rem 0.75rem; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }
th.word, td.word { text-align: left; } td.wrap { white-space: normal; min-width: 11rem; }
tbody tr:hover { background: #f3f8fa; } tr:target { background: #fff1cf !important; }
td.bar { min-width: 9rem; background: linear-gradient(90deg, #bfe3ec var(--share), transparent 0) no-repeat
  0.75rem 50% / calc(100% - 4.6rem) 0.55rem; }
a { color: var(--accent); }
.film { display: grid; gap: 6px; background: var(--film); padding: 6px; border-radius: 8px; }
.slabs { grid-template-columns: repeat(auto-fill, minmax(225px, 1fr)); }
.slices { grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); align-items: center; }
.lesions { display: grid; grid-template-columns: repeat(auto-fill, minmax(350px, 1fr)); gap: 0.9rem; }
.lesion-card .film { grid-template-columns: repeat(3, 1fr); gap: 3px; padding: 3px; }
.lesion-card p { margin: 0.3rem 0.1rem 0; font-size: 0.89rem; }
.lesion-card span { display: block; color: var(--soft); }
.lesion-card:target .film { outline: 3px solid var(--lesion); }
.planes { display: flex; align-items: end; } .planes > div { flex: 1 1 0; min-width: 0; }
canvas { display: block; width: 100%; cursor: crosshair; border-radius: 4px; background: #000; }
canvas:focus-visible { outline: 1px solid var(--brain); }
.planes label { display: flex; gap: 0.6rem; color: #93a1ae; font-size: 0.76rem; padding: 0.3rem 0.2rem 0; }
.planes input { flex: 1; min-width: 0; }
input[type=range] { accent-color: var(--accent); }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.8rem; margin-top: 0.7rem; }
.controls button { font: inherit; font-size: 0.87rem; padding: 0.25rem 0.8rem; border: 1px solid var(--line);
  border-radius: 99px; background: var(--ground); color: inherit; cursor: pointer; }
.controls label { display: flex; align-items: center; gap: 0.4rem; color: var(--soft); font-size: 0.87rem; }
.controls input { width: 6rem; }
.controls output { min-width: 23rem; text-align: center; font-variant-numeric: tabular-nums; }
#viewer[data-ready] ~ section .lesion-card { cursor: pointer; }
figure { margin: 0; break-inside: avoid; }
figcaption { color: #93a1ae; font-size: 0.76rem; text-align: center; line-height: 1.5; }
svg { display: block; width: 100%; background: #000; border-radius: 4px; }
svg path, svg circle { fill: none; vector-effect: non-scaling-stroke; stroke-width: 1.4px; }
svg .lesion, svg circle { stroke: var(--lesion); } svg .brain { stroke: var(--brain); }
svg .ticks { stroke: #fff; stroke-opacity: 0.45; stroke-width: 1px; }
svg a text { fill: var(--lesion); font-weight: 600; } svg a:hover circle { fill: rgb(255 179 26 / 0.3); }
svg text { paint-order: stroke; stroke: #000; stroke-width: 2.5px; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }
svg .letter { fill: #dce6ee; }
.curve { background: none; } .curve polyline { fill: none; stroke: var(--accent); stroke-width: 1.2px; }
.curve path { stroke: var(--soft); stroke-opacity: 0.4; stroke-width: 1px; }
.curve text { stroke: none; fill: var(--soft); }
.curve rect { fill: #7fb8c9; } .curve rect.outlier { fill: var(--lesion); }
.curve path.median { stroke: var(--ink); stroke-opacity: 0.7; stroke-dasharray: 3 3; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 1rem 1.6rem; }
.charts h3 { margin: 0 0 0.2rem; font-size: 0.95rem; color: var(--soft); font-weight: 600; }
.details + .hint { margin: 0.9rem 0 0; }
.warnings .long { max-height: 16rem; overflow: auto; }
.bare .overlay { visibility: hidden; }
.switch { display: block; position: sticky; bottom: 0.8rem; z-index: 2; width: max-content; margin: 0 0 0 auto;
  padding: 0.4rem 0.9rem; background: #22303d; color: #fff; border-radius: 99px; font-size: 0.87rem;
  box-shadow: 0 2px 10px rgb(0 0 0 / 0.25); }
.details { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 1rem 2rem; }
.details h3 { margin: 0 0 0.2rem; font-size: 0.95rem; color: var(--soft); font-weight: 600; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.9rem; margin: 0; font-size: 0.9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-bottom: 2rem; color: var(--soft); font-size: 0.87rem; }
@media (max-width: 640px) { main, header, footer { padding-inline: 0.8rem; } .lesions { grid-template-columns: 1fr; }
  .planes { flex-direction: column; align-items: stretch; } .controls output { min-width: 100%; } }
@media print { @page { margin: 12mm; } body { background: #fff; font-size: 11px; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; } .switch, #viewer { display: none; }
  .scroll { max-height: none; overflow: visible; }
  section { border: 0; padding: 0.4rem 0; } th { position: static; } thead { display: table-row-group; }
  tr, .film, .lesion-card { break-inside: avoid; } h2, .hint { break-after: avoid; }
  .slabs { grid-template-columns: repeat(5, 1fr); } .lesions { grid-template-columns: repeat(2, 1fr); } }
"""

SCRIPT = """
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
"""
