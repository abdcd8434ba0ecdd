import { type Content, element, htmlText } from "./html.ts";
import { script, style } from "./page/page.generated.ts";
import type { Section } from "./parts.ts";

/** The frame that all pages share: head, search, table of contents, sections. */

export interface Page {
  /** Title of the browser's window, and name in the bar. */
  readonly title: string;
  readonly heading: Content;
  /** Below the heading. */
  readonly lead: Content;
  readonly sections: readonly Section[];
  readonly footer: Content;
}

/**
 * Nothing but the page's own script and style, which are known by their hashes: no request, no other script, no form. So even markup that
 * somebody got into the page could do nothing. Content Security Policy Level 3
 */
const POLICY = [
  "default-src 'none'",
  `script-src '${script.hash}'`,
  `style-src '${style.hash}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Writes a page as one HTML file. `mask` hides secrets in all text that is not the page's own. */
export function pageText(
  { title, heading, lead, sections, footer }: Page,
  mask: (text: string) => string,
): string {
  const head = element(
    "head",
    {},
    element("meta", { charset: "utf-8" }),
    element("meta", { "http-equiv": "Content-Security-Policy", content: POLICY }),
    element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    element("meta", { name: "color-scheme", content: "light dark" }),
    element("meta", { name: "referrer", content: "no-referrer" }),
    element("title", {}, title),
    element("style", {}, style.text),
  );
  const body = element(
    "body",
    {},
    bar(title),
    element(
      "div",
      { class: "layout" },
      contents(sections),
      element(
        "main",
        {},
        element("header", {}, element("h1", {}, heading), lead),
        sections.map(sectionContent),
        element("footer", {}, footer),
      ),
    ),
    element("script", {}, script.text),
  );
  const html = htmlText(element("html", { lang: "en" }, head, body), mask);
  return `<!doctype html>\n${html}\n`;
}

function bar(title: string): Content {
  return element(
    "div",
    { class: "bar" },
    element("span", { class: "name" }, title),
    element(
      "search",
      {},
      element("output", { id: "found", for: "search" }),
      element("input", {
        id: "search",
        type: "search",
        placeholder: "Search (press /)",
        "aria-label": "Search this page",
        autocomplete: "off",
        spellcheck: "false",
      }),
    ),
    element("button", { type: "button", id: "fold" }, "Fold all"),
  );
}

function contents(sections: readonly Section[]): Content {
  return element(
    "nav",
    { "aria-label": "Contents" },
    element(
      "ol",
      {},
      sections.map(({ id, title }) =>
        element("li", {}, element("a", { href: `#${id}` }, title, element("span", { class: "hits" }))),
      ),
    ),
  );
}

function sectionContent({ id, title, summary, content, isOpen = true }: Section): Content {
  return element(
    "section",
    { id },
    element(
      "details",
      { open: isOpen },
      element("summary", {}, element("h2", {}, title), element("span", { class: "summary" }, summary)),
      content,
    ),
  );
}
