import type { Finding, Validation } from "../validate/finding.ts";
import { type ConfigLine, linesOf, type Token } from "./config-lines.ts";
import { type Content, type Element, element } from "./html.ts";
import { configId, counted, type Section, verdictMark } from "./parts.ts";

/** The config with its lines, the findings of `validate` beside them, and links to the operations that a property asks for. */

/** A value of more lines can be folded. */
const LEAST_FOLDED = 6;
/** Values inside of more than these are not folded, however deep the config is. */
const MOST_FOLDS = 24;
/** A list of more items is folded at first: the names of a seccomp profile are hundreds. */
const MOST_UNFOLDED = 12;

export interface ConfigSectionOptions {
  /** Absent if nothing is to be said of errors. */
  readonly validation?: Validation;
  /** By pointer: number of the operations, and id of the first one. */
  readonly operations: ReadonlyMap<string, { readonly count: number; readonly id: string }>;
  /** Text of a token as it may be shown. */
  readonly shown: (token: Token) => string;
}

export function configSection(
  path: string,
  tokens: readonly Token[],
  options: ConfigSectionOptions,
): Section {
  const { validation } = options;
  const { findings = [], errors = 0, warnings = 0 } = validation ?? {};
  const lines = linesOf(tokens);
  const { whole, byLine } = placed(findings, lines);
  const view = new LinesView(lines, byLine, options);
  return {
    id: "config",
    title: "Config",
    summary: [
      counted(lines.length, "line"),
      errors > 0 && [" ", element("span", { class: "mark error" }, counted(errors, "error"))],
      warnings > 0 && [" ", element("span", { class: "mark warning" }, counted(warnings, "warning"))],
      validation !== undefined && errors + warnings === 0 && ", no errors, no warnings",
    ],
    content: [
      element("p", { class: "path" }, path),
      whole.map((finding) => element("p", {}, findingContent(finding))),
      element("div", { class: "config" }, view.content()),
    ],
  };
}

/** Puts each finding at the line of its property; those of none, or of one that is missing, at that around it. */
function placed(findings: readonly Finding[], lines: readonly ConfigLine[]) {
  const lineOf = new Map<string, number>();
  for (const { number, tokens } of lines)
    for (const { pointer, begins } of tokens) if (begins) lineOf.set(pointer, number);
  const whole: Finding[] = [];
  const byLine = new Map<number, Finding[]>();
  for (const finding of findings) {
    let at = finding.pointer;
    while (at !== "" && !lineOf.has(at)) at = at.slice(0, at.lastIndexOf("/"));
    const line = at === "" ? undefined : lineOf.get(at);
    if (line === undefined) whole.push(finding);
    else byLine.set(line, [...(byLine.get(line) ?? []), finding]);
  }
  return { whole, byLine };
}

function findingContent({ severity, message, hint, rule }: Finding): Content {
  return [
    verdictMark(severity),
    ` ${message} `,
    element("span", { class: "rule" }, rule),
    hint !== undefined && element("span", { class: "fix" }, hint),
  ];
}

class LinesView {
  readonly #lines: readonly ConfigLine[];
  readonly #findings: ReadonlyMap<number, readonly Finding[]>;
  readonly #options: ConfigSectionOptions;
  /** The last line of the outermost value that begins on a line. */
  readonly #ends = new Map<number, number>();

  constructor(
    lines: readonly ConfigLine[],
    findings: ReadonlyMap<number, readonly Finding[]>,
    options: ConfigSectionOptions,
  ) {
    this.#lines = lines;
    this.#findings = findings;
    this.#options = options;
    const begun = new Map<string, number>();
    for (const { number, tokens } of lines) {
      for (const { pointer, begins, text } of tokens) {
        if (begins && pointer !== "") begun.set(pointer, number);
        else if (/^[}\]]$/.test(text)) {
          const from = begun.get(pointer);
          if (from !== undefined && number > from) this.#ends.set(from, number);
        }
      }
    }
  }

  content(): Content {
    return this.#between(0, this.#lines.length, 0);
  }

  #between(from: number, to: number, folds: number): Content {
    const content: Content[] = [];
    for (let index = from; index < to; index++) {
      const line = this.#lines[index];
      if (line === undefined) break;
      const end = this.#ends.get(line.number) ?? line.number;
      const count = end - line.number;
      if (count < LEAST_FOLDED || end > to || folds === MOST_FOLDS) {
        content.push(this.#line(line));
        continue;
      }
      content.push(
        element(
          "details",
          { open: !this.#isLongList(index + 1, end - 1) },
          element("summary", {}, this.#line(line, count - 1)),
          this.#between(index + 1, end, folds + 1),
        ),
      );
      index = end - 1;
    }
    return content;
  }

  /** Whether the lines are the items of a long list, with nothing in them that a reader looks for first. */
  #isLongList(from: number, to: number): boolean {
    const inner = this.#lines.slice(from, to);
    const isFlat = inner.every(({ tokens }) => tokens.every(({ text }) => !/^[{[]$/.test(text)));
    return isFlat && inner.length > MOST_UNFOLDED && !inner.some(({ number }) => this.#findings.has(number));
  }

  #line({ number, tokens }: ConfigLine, folded?: number): Element {
    const findings = this.#findings.get(number) ?? [];
    const [severity] = findings.map((finding) => finding.severity).sort();
    return element(
      "div",
      { class: `line item${severity === undefined ? "" : ` ${severity}`}` },
      element("a", { class: "number", id: `line-${number}`, href: `#line-${number}` }, number),
      element(
        "code",
        {},
        tokens.map((token) => this.#token(token)),
        folded !== undefined && element("span", { class: "folded" }, ` … ${counted(folded, "line")}`),
      ),
      element("span", { class: "links" }, this.#operationLinks(tokens)),
      findings.map((finding) => element("div", { class: "finding" }, findingContent(finding))),
    );
  }

  #token(token: Token): Content {
    const { kind, pointer, begins } = token;
    const text = this.#options.shown(token);
    if (kind === "space" || (kind === "punctuation" && !begins)) return text;
    return element(
      "span",
      { class: kind, id: begins && pointer !== "" ? configId(pointer) : undefined },
      text,
    );
  }

  #operationLinks(tokens: readonly Token[]): Content {
    return tokens.map(({ pointer, begins }) => {
      const operations = begins && pointer !== "" ? this.#options.operations.get(pointer) : undefined;
      if (operations === undefined) return undefined;
      const { count, id } = operations;
      return [
        element(
          "a",
          { href: `#${id}`, title: `operations that ${pointer} asks for` },
          count,
          element("span", { class: "word" }, count === 1 ? " operation" : " operations"),
        ),
        " ",
      ];
    });
  }
}

/** Pointers of all values of a config. */
export function pointersOf(tokens: readonly Token[]): ReadonlySet<string> {
  return new Set(tokens.filter(({ begins }) => begins).map(({ pointer }) => pointer));
}
