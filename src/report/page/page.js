/* The script of the page of `runts report`: search, and folding by keys and links. Without it the page is complete, but not searchable. */

const field = document.querySelector("#search");
const count = document.querySelector("#found");
const foldAll = document.querySelector("#fold");
const items = [...document.querySelectorAll(".item")].map((item) => ({
  item,
  text: item.textContent.toLowerCase(),
  section: item.closest("section")?.id ?? "",
}));
const links = [...document.querySelectorAll("nav li")].map((entry) => ({
  entry,
  section: entry.querySelector("a").hash.slice(1),
  hits: entry.querySelector(".hits"),
}));

/** Elements that the search has unfolded, and folds again. */
let unfolded = [];
let matches = [];
let current = -1;

function unfold(element, remember) {
  for (let at = element.closest("details"); at !== null; at = at.parentElement.closest("details")) {
    if (at.open) continue;
    at.open = true;
    if (remember) unfolded.push(at);
  }
}

/** Unfolds what an entry that was found is folded in, and the entry itself if the text is not in its summary. */
function showMatch(item, wanted) {
  const summary = item.querySelector(":scope > summary");
  const isInside = summary !== null && !summary.textContent.toLowerCase().includes(wanted);
  const isSummary = item.parentElement.matches("summary");
  unfold(isInside ? item : isSummary ? item.closest("details").parentElement : item.parentElement, true);
}

/** Ranges of all places of a text in an element. */
function rangesIn(element, wanted) {
  const ranges = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      ranges.push(range);
    }
  }
  return ranges;
}

/** Marks what is found. Lines of the config stay in sight, as their order says something; other entries without the text are hidden. */
function search() {
  const wanted = field.value.trim().toLowerCase();
  for (const details of unfolded) details.open = false;
  unfolded = [];
  matches = [];
  current = -1;
  const perSection = new Map();
  for (const { item, text, section } of items) {
    const hit = wanted === "" || text.includes(wanted);
    if (item.classList.contains("line")) item.classList.toggle("dim", !hit);
    else item.hidden = !hit;
    if (wanted === "" || !hit) continue;
    matches.push(item);
    perSection.set(section, (perSection.get(section) ?? 0) + 1);
  }
  for (const item of matches) showMatch(item, wanted);
  for (const { entry, section, hits } of links) {
    const found = perSection.get(section) ?? 0;
    entry.classList.toggle("none", wanted !== "" && found === 0);
    hits.textContent = wanted === "" ? "" : String(found);
  }
  count.textContent = wanted === "" ? "" : `${matches.length} found`;
  if (typeof Highlight === "undefined") return;
  const ranges = wanted === "" ? [] : matches.flatMap((item) => rangesIn(item, wanted));
  CSS.highlights.set("found", new Highlight(...ranges.slice(0, 5000)));
}

function goTo(step) {
  if (matches.length === 0) return;
  current = (current + step + matches.length) % matches.length;
  matches[current].scrollIntoView({ block: "center" });
  count.textContent = `${current + 1} of ${matches.length}`;
}

field.addEventListener("input", search);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter") goTo(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") {
    field.value = "";
    search();
    field.blur();
  }
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
});

foldAll.addEventListener("click", () => {
  const sections = [...document.querySelectorAll("section > details")];
  const open = !sections.some((details) => details.open);
  for (const details of sections) details.open = open;
  foldAll.textContent = open ? "Fold all" : "Unfold all";
});

/** Unfolds what a link leads to: not all browsers do. */
function showTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target === null) return;
  unfold(target, false);
  if (target instanceof HTMLDetailsElement) target.open = true;
  target.scrollIntoView({ block: target.matches("section") ? "start" : "center" });
}

addEventListener("hashchange", showTarget);
showTarget();

/** A link in a summary leads somewhere, and does not fold. A second click on it would not change the fragment. */
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href^='#']") : null;
  if (link === null || link.getAttribute("href") !== location.hash) return;
  event.preventDefault();
  showTarget();
});

/** Printing shows all; afterwards, what was folded is folded again. */
let printed = [];
addEventListener("beforeprint", () => {
  printed = [...document.querySelectorAll("details:not([open])")];
  for (const details of printed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of printed) details.open = false;
  printed = [];
});

/** The timeline of a profile: details of the operation under the pointer or in focus, and zooming. */
const timeline = document.querySelector(".timeline");
if (timeline !== null) {
  const detail = document.querySelector(".timeline-detail");
  const drawing = timeline.querySelector("svg");
  let zoom = 1;
  const show = (event) => {
    const bar = event.target.closest("a");
    if (bar !== null) detail.textContent = bar.getAttribute("aria-label");
  };
  timeline.addEventListener("pointerover", show);
  timeline.addEventListener("focusin", show);
  for (const button of document.querySelectorAll(".zoom button")) {
    button.addEventListener("click", () => {
      const middle = (timeline.scrollLeft + timeline.clientWidth / 2) / drawing.clientWidth;
      zoom = Math.min(64, Math.max(1, button.value === "in" ? zoom * 2 : zoom / 2));
      drawing.setAttribute("width", `${zoom * 100}%`);
      timeline.scrollLeft = middle * drawing.clientWidth - timeline.clientWidth / 2;
    });
  }
}
