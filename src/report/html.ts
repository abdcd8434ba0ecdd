import { printable } from "../../bindings/abi/printable.ts";

/**
 * The HTML of a page. Content is text or elements, and text is escaped where it is written: no value of a config or a container can become
 * markup. Attributes have no URLs but fragments of the page itself.
 */

export type Content = string | number | bigint | Element | readonly Content[] | undefined | false;

export interface Element {
  readonly tag: string;
  readonly attributes: Attributes;
  readonly content: readonly Content[];
}

/** `true` is an attribute without a value; undefined and false leave it out. */
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Makes an element. The tag and the names of the attributes are constants of this program. */
export function element(tag: string, attributes: Attributes, ...content: readonly Content[]): Element {
  return { tag, attributes, content };
}

/** HTML 13.1.2: these have no content and no end tag. */
const VOID = new Set(["br", "col", "input", "meta"]);
/** HTML 13.1.2.1: in these, character references mean nothing. Only this program's own files come here, which hold no end tag. */
const RAW = new Set(["script", "style"]);
/** Attributes whose values are constants of this program: a value of a config that happens to be the same must not change them. */
const CONSTANT = new Set(["charset", "class", "content", "http-equiv", "name", "scope", "type"]);

/** Writes a page's markup. All text, and the values of attributes, go through `mask`, which hides what must not be on the page. */
export function htmlText(content: Content, mask: (text: string) => string): string {
  if (content === undefined || content === false) return "";
  if (typeof content === "number" || typeof content === "bigint") return escaped(mask(String(content)));
  if (typeof content === "string") return escaped(mask(content));
  if (!isElement(content)) return content.map((part) => htmlText(part, mask)).join("");
  const { tag, attributes } = content;
  const open = `<${tag}${Object.entries(attributes).map(attributeText(mask)).join("")}>`;
  if (VOID.has(tag)) return open;
  if (RAW.has(tag)) return `${open}${content.content.join("")}</${tag}>`;
  return `${open}${htmlText(content.content, mask)}</${tag}>`;
}

function isElement(content: Element | readonly Content[]): content is Element {
  return "tag" in content;
}

function attributeText(mask: (text: string) => string) {
  return ([name, value]: [string, Attributes[string]]): string => {
    if (value === undefined || value === false) return "";
    if (value === true) return ` ${name}`;
    return ` ${name}="${escaped(CONSTANT.has(name) ? String(value) : mask(String(value)))}"`;
  };
}

const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Control characters, and those that reorder text, become numbers: HTML has no reference for most of them. */
function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => REFERENCES[character] ?? "");
}
