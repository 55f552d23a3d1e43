"use strict";
const valueOf = (row, column) => {
  const text = row.cells[column].textContent;
  return text === "" || isNaN(text) ? text : Number(text);
};
// Numbers before words, both before empty cells, whatever the direction.
const rank = (value) => (value === "" ? 2 : typeof value === "string" ? 1 : 0);
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, body = header.closest("table").tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, header.cellIndex), row]);
    const before = header.getAttribute("aria-sort");
    const up = before ? before === "descending" : !rows.some(([value]) => rank(value) === 0);
    rows.sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1));
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const [, row] of rows) body.append(row);
  });
}
