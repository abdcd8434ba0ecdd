import type { RunCommand } from "./description.ts";
import { writeOutput } from "./output.ts";

/** Exit code 1 for what a container needs and does not have, so that scripts can ask. */
export const run: RunCommand = async (context, args) => {
  const { findingsText, hasBad } = await import("../doctor/finding.ts");
  const [id] = args.positionals;
  const findings = id === undefined ? await examineHost() : await examineContainer(context, id);
  writeOutput(args.flag("json") ? `${JSON.stringify({ findings }, undefined, 2)}\n` : findingsText(findings));
  return hasBad(findings) ? 1 : 0;
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
