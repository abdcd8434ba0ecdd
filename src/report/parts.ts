import { type Content, type Element, element } from "./html.ts";

/** Parts that all sections of a page are made of. */

/** A section of a page. It can be folded, and the table of contents links to it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  /** A few words beside the title, such as a number. */
  readonly summary?: Content;
  readonly content: Content;
  /** Whether it is unfolded at first. True when absent. */
  readonly isOpen?: boolean;
}

/** Id of the element that shows the value of a JSON pointer in the config. Characters that a fragment can't have are written as numbers. */
export function configId(pointer: string): string {
  return `config${pointer.replace(/[^\w/.~-]/gu, (character) => `(${character.codePointAt(0)?.toString(16)})`)}`;
}

/** Makes links to the properties of a config. `pointers` are those of the values that are in it. */
export class ConfigLinks {
  readonly #pointers: ReadonlySet<string>;

  constructor(pointers: ReadonlySet<string>) {
    this.#pointers = pointers;
  }

  /** A link to the property, or to the nearest one around it that is in the config; nothing for an empty pointer. */
  to(pointer: string | undefined): Content {
    if (pointer === undefined || pointer === "") return undefined;
    let there = pointer;
    while (there !== "" && !this.#pointers.has(there)) there = there.slice(0, there.lastIndexOf("/"));
    if (there === "") return element("span", { class: "pointer" }, pointer);
    return element("a", { class: "pointer", href: `#${configId(there)}` }, pointer);
  }
}

/** Rows whose first cell is a name. `search` finds rows. */
export function facts(rows: readonly (readonly [name: string, value: Content])[]): Element {
  return element(
    "table",
    { class: "facts" },
    rows
      .filter(([, value]) => value !== undefined && value !== false && value !== "")
      .map(([name, value]) =>
        element("tr", { class: "item" }, element("th", { scope: "row" }, name), element("td", {}, value)),
      ),
  );
}

/** A table with headings. It scrolls where the page is too narrow for it. */
export function table(headings: readonly string[], rows: readonly (readonly Content[])[]): Element {
  return element(
    "div",
    { class: "wide" },
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          headings.map((heading) => element("th", { scope: "col" }, heading)),
        ),
      ),
      element(
        "tbody",
        {},
        rows.map((cells) =>
          element(
            "tr",
            { class: "item" },
            cells.map((cell) => element("td", {}, cell)),
          ),
        ),
      ),
    ),
  );
}

export function code(text: string): Element {
  return element("code", {}, text);
}

/** Several words of the config, such as options. */
export function words(list: readonly string[]): Content {
  return list.map((word) => [element("code", {}, word), " "]);
}

export type Verdict = "good" | "note" | "lacking" | "slow" | "bad" | "error" | "warning";

const MARKS = {
  good: "ok",
  note: "note",
  lacking: "missing",
  slow: "slow",
  bad: "bad",
  error: "error",
  warning: "warning",
};

/** A verdict in words; its color only repeats them. */
export function verdictMark(verdict: Verdict): Element {
  return element("span", { class: `mark ${verdict}` }, MARKS[verdict]);
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

export function paragraph(...content: readonly Content[]): Element {
  return element("p", {}, ...content);
}
