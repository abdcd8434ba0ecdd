import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

/** The documents name files and identifiers of the source, and link to pages and headings: all of these have to exist. */

const root = join(import.meta.dirname, "..");

/** All files of the repository, by their paths in it. */
const files = ["bindings", "docs", "examples", "scripts", "spec-tests", "src"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
  )
  .concat(readdirSync(root));
const documents = files.filter((path) => path.endsWith(".md") && !path.includes("node_modules")).sort();

/** A path of this repository, from its root or from the folder of the document. */
const PATH = /^(?:\.\.?\/)*(?:[\w.*-]+\/)+[\w.*-]*\.(?:ts|mjs|mts|c|h|cil|md|sh|py|svg)$/;

/** `*` stands for any part of a name. */
function isThere(path: string): boolean {
  const pattern = path.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*");
  return files.some((file) => new RegExp(`^${pattern}$`).test(file));
}

/** GitHub's name of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}

function headings(path: string): string[] {
  return [...withoutBlocks(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchor(heading));
}

/** Text without blocks of code, which may show what other machines have. */
function prose(document: string): string {
  return withoutBlocks(join(root, document));
}

function withoutBlocks(path: string): string {
  return readFileSync(path, "utf8").replace(/^```[\s\S]*?^```$/gm, "");
}

function leadsNowhere(folder: string, target: string): boolean {
  const [path = "", heading] = target.split("#");
  const file = join(folder, decodeURI(path));
  if (!existsSync(file)) return true;
  if (heading === undefined) return false;
  return !headings(statSync(file).isDirectory() ? join(file, "README.md") : file).includes(heading);
}

describe.each(documents)("%s", (document) => {
  const folder = join(root, dirname(document));

  test("files that it names exist", () => {
    const named = [...prose(document).matchAll(/`([^`\s]+)`/g)].map(([, path = ""]) => path);
    const missing = named
      .filter((path) => PATH.test(path) && !path.startsWith("dist"))
      .filter((path) => !isThere(path) && !isThere(join(dirname(document), path)));
    expect(missing).toEqual([]);
  });

  test("the npm commands that it names are those of package.json", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const named = [...readFileSync(join(root, document), "utf8").matchAll(/npm run ([\w:-]+)/g)];
    expect(named.map(([, name = ""]) => name).filter((name) => !(name in scripts))).toEqual([]);
  });

  test("its links lead somewhere", () => {
    const own = join(root, document);
    const links = [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
    const local = links.filter((target) => !/^[a-z]+:/.test(target));
    expect(
      local.filter((target) =>
        target.startsWith("#") ? !headings(own).includes(target.slice(1)) : leadsNowhere(folder, target),
      ),
    ).toEqual([]);
  });
});

/** `planMounts`, `MOUNT_FLAGS`, `CgroupWrite` or `NewContainer.undo`. A plain word such as `exec` may be anything. */
const IDENTIFIER = /^(?!.*\.md$)(?=.*[a-z][A-Z]|[A-Z][A-Z_]{2}|[A-Z]\w*\.)[A-Za-z_]\w*(?:\.\w+)?$/;

/** The source files. Comments don't count: they may still have a name that is gone. */
const sources = files
  .filter((path) => /\.(?:ts|mts|mjs|c|h|json)$/.test(path) && !path.startsWith("examples"))
  .map((path) => {
    const code = readFileSync(join(root, path), "utf8").replace(/^\s*(?:\/?\*|\/\/).*$/gm, "");
    return { code, words: new Set(code.match(/[A-Za-z_]\w*/g)) };
  });

/** For `Class.member`, the file that declares the class has to have the member. */
function isInSource(identifier: string): boolean {
  const [owner = "", member = owner] = identifier.split(".");
  const isDeclared = new RegExp(`\\b(?:class|interface|type|const) ${owner}\\b`);
  return sources.some(
    ({ code, words }) =>
      words.has(owner) && words.has(member) && (!/^[A-Z].*\./.test(identifier) || isDeclared.test(code)),
  );
}

test.each([
  "CONTRIBUTING.md",
  "bindings/README.md",
  "docs/source-guide.md",
  "spec-tests/README.md",
  "src/README.md",
])("identifiers that %s names are in the source", (document) => {
  const named = [...prose(document).matchAll(/`([^`\s]+?)(?:\(\))?`/g)].map(([, name = ""]) => name);
  expect(named.filter((name) => IDENTIFIER.test(name) && !isInSource(name))).toEqual([]);
});

/** Figures that more than one document gives. The README says least. */
describe("the documents agree", () => {
  const [readme = "", testing = "", decisions = ""] = [
    "README.md",
    "docs/testing.md",
    "spec-tests/DECISIONS.md",
  ].map((path) => readFileSync(join(root, path), "utf8"));

  test("on the operations that are made to fail", () => {
    const pattern = /Operations injected (\d+) of \1, leaks 0/;
    expect(pattern.exec(readme)?.[0]).toMatch(pattern);
    expect(pattern.exec(testing)?.[0]).toBe(pattern.exec(readme)?.[0]);
  });

  test("on the public conformance suite", () => {
    const [, ...runtimes] =
      /^\| clean +\|(.*)\|$/m
        .exec(decisions)?.[1]
        ?.split("|")
        .map((cell) => cell.trim()) ?? [];
    expect(runtimes.length).toBe(4);
    for (const runtime of runtimes) expect(testing.replace(/\s+/g, " ")).toContain(runtime);
    expect(testing).toMatch(/runts passes 33 of them/);
    expect(decisions).toContain("| runts 33 |");
    expect(readme).toContain("runts passes 33, crun 1.28 34 and runc 1.3.6 27");
  });
});
