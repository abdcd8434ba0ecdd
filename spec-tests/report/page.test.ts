import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";

spec(
  "report in the page about it: prints what the page says",
  "docs/report.md",
  (sandbox) => checkReadme(sandbox, "explain", { page: "docs/report.md" }),
  { both: "has no such command" },
);
