import { oneLine } from "../../bindings/abi/printable.ts";
import { decoded, type Token } from "./config-lines.ts";

/**
 * Hides the values of environments and annotations, which hold passwords and keys. Two nets: such a value is replaced where it stands in
 * the config; and wherever else it appears on the page, as in the call of execve(2), in an argument or in a message.
 */

export const MASK = "••••••";

/**
 * Members whose strings are hidden: those of config.md (Process, Hooks, Annotations), and misspelt ones, in which a secret is one all the
 * same.
 */
const SECRET_MEMBER = /^(env|environment|annotations?)$/i;

/** Options of programs and their values, as in `--db-password=…`. */
const SECRET_OPTION =
  /^(-{1,2}[\w.-]*(?:pass(?:word|wd|phrase)?|secret|token|credentials?|api-?key|private-?key))(?:=(.*))?$/is;

/** Variables that hold no secret, and whose values are common words of paths and of this page. They are hidden in environments only. */
const HARMLESS = new Set(
  "PATH HOME PWD TERM HOSTNAME USER LOGNAME SHELL LANG LANGUAGE LC_ALL TZ container".split(" "),
);

/** Characters. A shorter value is hidden where it stands and in its `NAME=value`, but not looked for alone: "1" and "true" are everywhere. */
const LEAST_SOUGHT = 6;
/** Characters. A shorter value is only found as a whole word. */
const LEAST_WITHIN_WORDS = 8;

/** Whether the value at a pointer of a config is hidden: it is in such a member or, in a config with errors, in the place of one. */
function isSecretPlace(pointer: string): boolean {
  return pointer.split("/").some((token) => SECRET_MEMBER.test(token));
}

/**
 * The text of a token without secrets: of a variable, the name stays. Strings are written anew, since `maskFor` does not know all the ways to
 * escape characters.
 */
export function maskedToken(token: Token): string {
  if (!isValue(token) || !isSecretPlace(token.pointer))
    return token.text.includes("\\") ? JSON.stringify(decoded(token.text)) : token.text;
  const value = token.kind === "string" ? decoded(token.text) : token.text;
  const [, name] = /^([A-Za-z_][\w.-]*)=/.exec(value) ?? [];
  return JSON.stringify(name === undefined || !isVariable(token) ? MASK : `${name}=${MASK}`);
}

function isValue({ kind }: Token): boolean {
  return kind === "string" || kind === "literal";
}

/** Whether a token is an entry of a list, as variables are; annotations are members. */
function isVariable({ pointer }: Token): boolean {
  return /\/\d+$/.test(pointer);
}

/** Name of a variable of an environment; of an entry without one, nothing is shown. */
export function variableName(entry: string): string {
  const end = entry.indexOf("=");
  return end < 0 ? MASK : entry.slice(0, end);
}

/** Makes the function that hides the secrets of a config in any other text. */
export function maskFor(tokens: readonly Token[]): (text: string) => string {
  const replacements = new Map<string, string>();
  const words = new Set<string>();
  const add = (text: string, replacement: string, isWord = false) => {
    for (const form of formsOf(text)) {
      if (!replacements.has(form)) replacements.set(form, replacement);
      if (isWord) words.add(form);
    }
  };
  const seek = (value: string) => {
    if (value.length >= LEAST_SOUGHT) add(value, MASK, value.length < LEAST_WITHIN_WORDS);
  };
  for (const token of tokens.filter(isValue)) {
    const value = token.kind === "string" ? decoded(token.text) : token.text;
    if (!isSecretPlace(token.pointer)) continue;
    const [, name, content] = /^([^=]*)=(.*)$/s.exec(value) ?? [];
    if (isVariable(token) && name !== undefined && content !== undefined) {
      if (content !== "") add(value, `${name}=${MASK}`);
      if (!HARMLESS.has(name)) seek(content);
    } else seek(value);
  }
  for (const secret of secretArguments(tokens)) seek(secret);
  return replacer(replacements, words);
}

/** Values in arguments that are secrets by the name of their option, or as the password of a URL. */
function secretArguments(tokens: readonly Token[]): string[] {
  const args = tokens.filter(({ kind, pointer }) => kind === "string" && /\/args\/\d+$/.test(pointer));
  return args.flatMap((token, index) => {
    const value = decoded(token.text);
    // `user:password@` of URLs.
    const urls = [...value.matchAll(/\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:([^\s/@]+)@/gi)].map(
      ([, password = ""]) => password,
    );
    const [, option, given] = SECRET_OPTION.exec(value) ?? [];
    const following = args[index + 1];
    if (option === undefined) return urls;
    if (given !== undefined) return [...urls, given];
    return following === undefined ? urls : [...urls, decoded(following.text)];
  });
}

/**
 * The ways in which a text may appear: as it is; in the notation of strace(1), which is that of JSON; in JSON within that, as the state that a
 * hook reads; in a message of one line; and without the quotes of a string of systemd's, `org.systemd.property.*`. What the kernel gets is
 * UTF-8, which has no half of a surrogate pair.
 */
function formsOf(text: string): ReadonlySet<string> {
  const escaped = (part: string) => JSON.stringify(part).slice(1, -1);
  const utf8 = Buffer.from(text).toString();
  const line = oneLine(text);
  const [, , unquoted = text] = /^(['"])(.{6,})\1$/s.exec(text) ?? [];
  return new Set([
    text,
    utf8,
    ...[text, utf8].flatMap((form) => [escaped(form), escaped(escaped(form))]),
    line,
    escaped(line),
    unquoted,
    escaped(unquoted),
  ]);
}

function replacer(
  replacements: ReadonlyMap<string, string>,
  words: ReadonlySet<string>,
): (text: string) => string {
  if (replacements.size === 0) return (text) => text;
  // The longest first, so that no part of a value is replaced and the rest stays.
  const forms = [...replacements.keys()].sort((one, other) => other.length - one.length);
  const alternatives = forms.map((form) => {
    const literal = form.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
    return words.has(form) ? `(?<!\\w)${literal}(?!\\w)` : literal;
  });
  const pattern = new RegExp(alternatives.join("|"), "g");
  return (text) => text.replace(pattern, (found) => replacements.get(found) ?? MASK);
}
