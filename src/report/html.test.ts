import { describe, expect, it } from "vitest";
import { element, htmlText } from "./html.ts";

const same = (text: string) => text;

describe("htmlText", () => {
  it("escapes text and values of attributes", () => {
    const hostile = `</p><script>alert("1")</script>'&`;
    expect(htmlText(element("p", { title: hostile }, hostile), same)).toBe(
      '<p title="&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;">' +
        "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;</p>",
    );
  });

  it("writes control characters and those that reorder text as numbers", () => {
    expect(htmlText("a\x00b\x1b[31m\u202ec\nd", same)).toBe("a\\x00b\\x1b[31m\\u202ec\nd");
  });

  it("leaves out absent content and attributes, and writes true without a value", () => {
    const content = [undefined, false, 0, 7n, [element("br", {})]] as const;
    expect(htmlText(element("details", { open: true, id: undefined, hidden: false }, ...content), same)).toBe(
      "<details open>07<br></details>",
    );
  });

  it("masks text and values of attributes before they are escaped", () => {
    const mask = (text: string) => text.replaceAll('"s"', "*");
    expect(htmlText(element("b", { id: 'x"s"' }, 'y"s"'), mask)).toBe('<b id="x*">y*</b>');
  });
});
