import { readContainerState } from "../../container/record/status.ts";
import { defineCommand } from "../command.ts";
import { oneContainer } from "../options/shared-options.ts";
import { stateForJson, writeJson } from "../output.ts";

export const stateCommand = defineCommand({
  name: "state",
  summary: "print the state of a container as JSON",
  positionals: oneContainer,
  options: {},
  description: [
    "Prints the state of a container: the properties of the specification's runtime.md, and those that runc adds. A stopped one has exitCode, " +
      "where it is known: see `runts wait`.",
  ],
  examples: [["runts state web", "as JSON: status, process id, bundle, annotations"]],
  run(context, { positionals: [id] }) {
    const state = readContainerState(context, id);
    writeJson(JSON.stringify(stateForJson(state), undefined, 2));
    return 0;
  },
});
