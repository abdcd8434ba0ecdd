import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { withRules } from "../harness/helpers/landlock.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";

const PAGE = "docs/landlock.md";

/** The first block of the page in this language. */
function block(page: string, language: string): string {
  const [, text = ""] = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page) ?? [];
  expect(text, `${PAGE} has a block of ${language}`).not.toBe("");
  return text;
}

spec(
  "run, explain and validate in the page about Landlock: print what the page says",
  PAGE,
  async (sandbox) => {
    const page = readFileSync(join(import.meta.dirname, "../..", PAGE), "utf8");
    const container = sandbox.shell(block(page, "sh"), (config) => {
      withRules(JSON.parse(block(page, "json")))(config);
      config.root.readonly = false;
    });
    container.writeConfig(JSON.stringify(container.config, undefined, 2));
    await checkReadme(sandbox, "landlock", { page: PAGE, cwd: container.bundle });
  },
  { both: "takes no Landlock rules" },
);
