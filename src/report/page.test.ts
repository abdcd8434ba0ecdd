import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generateReportPage } from "../../scripts/generate-report-page.mjs";
import { script, style } from "./page/page.generated.ts";
import { pageText } from "./page.ts";

const page = {
  title: "box",
  heading: "box",
  lead: undefined,
  sections: [{ id: "one", title: "One", content: "hunter22" }],
  footer: undefined,
};

describe("pageText", () => {
  const html = pageText(page, (text) => text.replaceAll("hunter22", "*"));

  it("allows its own script and style by their hashes, and nothing else", () => {
    const hash = (text = "") => `sha256-${createHash("sha256").update(text).digest("base64")}`;
    const [, css] = /<style>(.*?)<\/style>/s.exec(html) ?? [];
    const [, js] = /<script>(.*?)<\/script>/s.exec(html) ?? [];
    const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
    expect(policy?.replaceAll("&#39;", "'")).toBe(
      `default-src 'none'; script-src '${hash(js)}'; style-src '${hash(css)}'; base-uri 'none'; form-action 'none'`,
    );
  });

  it("names no other resource", () => {
    expect(html).not.toMatch(/\b(?:src|href)="(?!#)|url\(|@import|\bstyle=|\bon\w+=/);
  });

  it("masks the content of sections", () => {
    expect(html).toContain("*");
    expect(html).not.toContain("hunter22");
  });
});

describe("page.generated.ts", () => {
  it("has page.css and page.js as they are; node scripts/generate-report-page.mjs writes it", () => {
    const committed = readFileSync(new URL("page/page.generated.ts", import.meta.url), "utf8");
    expect(generateReportPage()).toBe(committed);
    expect(style.text).toBe(readFileSync(new URL("page/page.css", import.meta.url), "utf8"));
    expect(script.text).toBe(readFileSync(new URL("page/page.js", import.meta.url), "utf8"));
  });
});
