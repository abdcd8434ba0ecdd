import type { Report } from "./issues.ts";
import { isObject } from "./json-reader.ts";

type Path = readonly string[];

/**
 * Properties of the specification that this version does not implement. Each is refused where it asks for something, since
 * ignoring it would start a container that is not the one described. `*` stands for each item of a list. Delete a line when its
 * property is implemented.
 */
const PROPERTIES: readonly Path[] = [];

/** Words that are not supported inside a list or as a value. */
const WORDS: readonly { readonly path: Path; readonly words: readonly string[] }[] = [
  // Options of crun, which would be taken for data of a bind mount.
  { path: ["mounts", "*", "options", "*"], words: ["copy-symlink", "src-nofollow", "dest-nofollow"] },
];

/** Whether a property is implemented, for `features`. The path is written as in the table. */
export function isSupported(...path: readonly string[]): boolean {
  return !PROPERTIES.some((entry) => entry.join("/") === path.join("/"));
}

/** `text` is the file that `config` was read from: most of the words in question are not in it at all. */
export function reportUnsupported(config: unknown, text: string, report: Report): void {
  const mayHold = text.includes("\\u") ? () => true : (word: string) => text.includes(word);
  for (const path of PROPERTIES) {
    if (!mayHold(path[path.length - 1] ?? "")) continue;
    visit(config, path, "", (value, pointer) => {
      if (asksForSomething(value)) report(pointer, "is not supported by this version of runts");
    });
  }
  for (const { path, words } of WORDS) {
    for (const word of words) {
      if (!mayHold(word)) continue;
      visit(config, path, "", (value, pointer) => {
        if (value === word) report(pointer, `${word} is not supported by this version of runts`);
      });
    }
  }
}

type Visitor = (value: unknown, pointer: string) => void;

/** Calls `found` for each value at the path; a plain walk, as every run pays for it. */
function visit(config: unknown, path: Path, pointer: string, found: Visitor, from = 0): void {
  let value = config;
  let at = pointer;
  for (let depth = from; depth < path.length; depth++) {
    const name = path[depth] ?? "";
    if (name === "*") {
      if (!Array.isArray(value)) return;
      for (let i = 0; i < value.length; i++) visit(value[i], path, `${at}/${i}`, found, depth + 1);
      return;
    }
    if (!isObject(value) || value[name] === undefined) return;
    value = value[name];
    at += `/${name}`;
  }
  found(value, at);
}

/** Engines send empty objects and lists for what nobody asked for. */
function asksForSomething(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isObject(value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== "" && value !== false;
}
