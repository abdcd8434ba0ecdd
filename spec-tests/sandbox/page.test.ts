import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";
import { ONLY_RUNTS, workDirectory } from "./sandbox.ts";

const PAGE = "docs/sandbox.md";

spec(
  "sandbox in its page: prints what the page says",
  PAGE,
  async (sandbox) => {
    const cwd = join(workDirectory(sandbox), "you");
    mkdirSync(join(cwd, "out"), { recursive: true });
    writeFileSync(join(cwd, "notes.txt"), "buy milk\n");
    await checkReadme(sandbox, "sandbox", {
      page: PAGE,
      cwd,
      wrapper: ["env", "HOME=/home/you", "LANG=C.UTF-8", "TERM=xterm"],
      // Hosts have different files in /etc, and so different numbers of mounts; and some have /lib32.
      stable: (text) => text.replace(/\/mounts\/\d+/g, "/mounts/N").replace(/^lib(x?32)\n/gm, ""),
    });
  },
  ONLY_RUNTS,
);
