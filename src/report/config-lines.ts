import { pointerToken } from "../spec/json/scanner.ts";

/** The text of a config as lines of tokens, each with its JSON pointer: for showing it, and for finding what must be hidden in it. */

export interface Token {
  readonly kind: "name" | "string" | "literal" | "punctuation" | "space";
  readonly text: string;
  /** JSON pointer of the value that it is, or that it begins or ends, or of the member that it names. */
  readonly pointer: string;
  /** Whether the value of the pointer begins here. */
  readonly begins: boolean;
}

export interface ConfigLine {
  /** 1-based. */
  readonly number: number;
  readonly tokens: readonly Token[];
}

/** Splits JSON text, which has to be valid, into tokens. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  /** The values around the current one: the pointer of each, and the index of the current item or its name. */
  const around: { readonly pointer: string; readonly isList: boolean; at: string | number }[] = [];
  let expectsName = false;
  const here = () => {
    const inner = around.at(-1);
    return inner === undefined ? "" : `${inner.pointer}/${inner.at}`;
  };
  for (const [part] of text.matchAll(/[\n\r\t ]+|"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gy)) {
    const first = part[0] ?? "";
    const inner = around.at(-1);
    if (/\s/.test(first)) {
      tokens.push({ kind: "space", text: part, pointer: "", begins: false });
    } else if (first === "{" || first === "[") {
      const pointer = here();
      tokens.push({ kind: "punctuation", text: part, pointer, begins: true });
      around.push({ pointer, isList: first === "[", at: first === "[" ? 0 : "" });
      expectsName = first === "{";
    } else if (first === "}" || first === "]") {
      around.pop();
      tokens.push({ kind: "punctuation", text: part, pointer: inner?.pointer ?? "", begins: false });
      expectsName = false;
    } else if (first === "," || first === ":") {
      if (first === "," && inner !== undefined) {
        if (typeof inner.at === "number") inner.at += 1;
        expectsName = !inner.isList;
      }
      tokens.push({ kind: "punctuation", text: part, pointer: here(), begins: false });
    } else if (expectsName && inner !== undefined) {
      inner.at = pointerToken(decoded(part));
      expectsName = false;
      tokens.push({ kind: "name", text: part, pointer: here(), begins: false });
    } else {
      const kind = first === '"' ? "string" : "literal";
      tokens.push({ kind, text: part, pointer: here(), begins: true });
    }
  }
  return tokens;
}

/** The string that a string of JSON text stands for. */
export function decoded(literal: string): string {
  const value: unknown = JSON.parse(literal);
  return typeof value === "string" ? value : "";
}

/** The lines of a config as they are in its file; one that has all on one line, as container engines write it, is laid out first. */
export function linesOf(tokens: readonly Token[]): ConfigLine[] {
  const isLaidOut = tokens.some(({ kind, text }, index) => {
    return kind === "space" && text.includes("\n") && index > 0 && index < tokens.length - 1;
  });
  const lines: Token[][] = [[]];
  for (const token of isLaidOut ? tokens : laidOut(tokens)) {
    if (token.kind !== "space") {
      lines.at(-1)?.push(token);
      continue;
    }
    const [before = "", ...after] = token.text.split("\n");
    if (before !== "") lines.at(-1)?.push({ ...token, text: before });
    for (const indent of after) lines.push(indent === "" ? [] : [{ ...token, text: indent }]);
  }
  // A file ends in a newline: behind it is no line.
  if (lines.at(-1)?.length === 0) lines.pop();
  return lines.map((line, index) => ({ number: index + 1, tokens: line }));
}

/** Puts each member and item on a line of its own, except for empty objects and lists. */
function laidOut(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  const solid = tokens.filter(({ kind }) => kind !== "space");
  let depth = 0;
  const space = (text: string) => result.push({ kind: "space", text, pointer: "", begins: false });
  solid.forEach((token, index) => {
    const { text, kind } = token;
    const previous = solid[index - 1]?.text ?? "";
    const isEnd = kind === "punctuation" && /^[}\]]$/.test(text);
    if (isEnd) {
      depth -= 1;
      if (!/^[{[]$/.test(previous)) space(`\n${"  ".repeat(depth)}`);
    } else if (kind === "punctuation" && /^[,:]$/.test(text)) {
      result.push(token);
      space(text === ":" ? " " : `\n${"  ".repeat(depth)}`);
      return;
    } else if (/^[{[]$/.test(previous) && solid[index - 1]?.kind === "punctuation") {
      space(`\n${"  ".repeat(depth)}`);
    }
    result.push(token);
    if (kind === "punctuation" && !isEnd) depth += 1;
  });
  return result;
}
