import { defineCommand } from "../command.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput } from "../output.ts";

export const doctorCommand = defineCommand({
  name: "doctor",
  summary: "check this host, or a container",
  positionals: { usage: "[container-id]", min: 0, max: 1 },
  options: {
    slow: { type: "boolean", description: "measure for a second what makes create slow on this host" },
    json: { type: "boolean", description: "print the findings as JSON" },
  },
  usesState: ({ positionals, options }) => positionals.length > 0 || options.slow,
  description: [
    "Without an argument, shows what this host supports and what it lacks, each with the fix.",
    "With a container's id, compares the container with its config: namespaces, cgroup and limits, device program, mounts, masked and read-only " +
      "paths, device nodes, and the capabilities, user, filter, rlimits and labels of its init. A difference that a program in the container may " +
      "have made itself is only a note.",
    "With --slow, measures what `create` asks of the kernel: namespaces, cgroups, processes, a device program and the state directory. Each time " +
      "comes with what is usual, and with the setting that helps if it is slow. Nothing on the host is changed: all that it makes is removed again. " +
      "What the caller may not do is not measured, and the output says why.",
  ],
  examples: [
    ["runts doctor", "check the host"],
    ["runts doctor --slow", "find out why containers start slowly on this host"],
    ["runts doctor web", "check the container web"],
    ["runts doctor --json web", "the same for a program"],
  ],
  exitStatus: [
    ["0", "nothing is wrong, though something may be missing"],
    ["1", "this host can't run containers, or the container differs from its config"],
  ],
  // Imports on demand: the modules load parts of Node, which takes some 4 ms.
  async run(context, { positionals: [id], options }) {
    const { findingsText } = await import("../../doctor/finding.ts");
    if (id !== undefined && options.slow)
      throw new UsageError("--slow is about the host: it can't be used with a container's id", "doctor");
    const findings = await (id !== undefined
      ? containerFindings(id)
      : options.slow
        ? slowFindings()
        : hostFindings());
    if (options.json) writeJson(JSON.stringify({ findings }, undefined, 2));
    else writeOutput(findingsText(findings));
    const bad = findings.filter(({ verdict }) => verdict === "bad").map(({ subject }) => subject);
    if (bad.length === 0) return 0;
    const problem = id === undefined ? "this host can't run containers" : `${id} differs from its config`;
    context.log.error(`${problem}: ${bad.join(", ")}`);
    return 1;

    async function hostFindings() {
      const { inspectHost } = await import("../../doctor/host.ts");
      const { judgeHost } = await import("../../doctor/host-judgement.ts");
      return judgeHost(inspectHost());
    }

    async function slowFindings() {
      const { measureSlowness } = await import("../../doctor/slow.ts");
      const { judgeSlowness } = await import("../../doctor/slow-judgement.ts");
      return judgeSlowness(measureSlowness(context.root));
    }

    async function containerFindings(container: string) {
      const { examine } = await import("../../doctor/container.ts");
      return examine(context, container);
    }
  },
});
