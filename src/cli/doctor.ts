import type { RunCommand } from "./description.ts";
import { writeJson, writeOutput } from "./output.ts";

/** Exit code 1 for what a container needs and does not have, so that scripts can ask. */
export const run: RunCommand = async (context, args) => {
  const { findingsText } = await import("../doctor/finding.ts");
  const [id] = args.positionals;
  const findings = id === undefined ? await examineHost() : await examineContainer(context, id);
  if (args.flag("json")) writeJson(JSON.stringify({ findings }, undefined, 2));
  else writeOutput(findingsText(findings));
  const bad = findings.filter(({ verdict }) => verdict === "bad").map(({ subject }) => subject);
  if (bad.length === 0) return 0;
  const what = id === undefined ? "this host is not fit for containers" : `${id} is not what its config says`;
  context.log.error(`${what}: ${bad.join(", ")}`);
  return 1;
};

async function examineHost() {
  const { inspectHost } = await import("../doctor/host.ts");
  const { judgeHost } = await import("../doctor/host-judgement.ts");
  return judgeHost(inspectHost());
}

async function examineContainer(context: Parameters<RunCommand>[0], id: string) {
  const { examine } = await import("../doctor/container.ts");
  return examine(context, id);
}
