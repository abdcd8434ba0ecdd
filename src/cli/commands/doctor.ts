import { examine } from "../../doctor/container.ts";
import { findingsText } from "../../doctor/finding.ts";
import { inspectHost } from "../../doctor/host.ts";
import { judgeHost } from "../../doctor/host-judgement.ts";
import type { RunCommand } from "../options/description.ts";
import { writeJson, writeOutput } from "../output.ts";

/** Exit code 1 for what a container needs and does not have, so that scripts can ask. */
export const run: RunCommand = (context, args) => {
  const [id] = args.positionals;
  const findings = id === undefined ? judgeHost(inspectHost()) : examine(context, id);
  if (args.flag("json")) writeJson(JSON.stringify({ findings }, undefined, 2));
  else writeOutput(findingsText(findings));
  const bad = findings.filter(({ verdict }) => verdict === "bad").map(({ subject }) => subject);
  if (bad.length === 0) return 0;
  const what = id === undefined ? "this host is not fit for containers" : `${id} is not what its config says`;
  context.log.error(`${what}: ${bad.join(", ")}`);
  return 1;
};
