import { features } from "../../container/features.ts";
import { defineCommand } from "../command.ts";
import { noArguments } from "../options/shared-options.ts";
import { writeJson } from "../output.ts";

export const featuresCommand = defineCommand({
  name: "features",
  summary: "print the features of this runtime as JSON",
  positionals: noArguments,
  options: {},
  usesState: false,
  description: ["Prints what runts implements, in the format of the specification's features.md."],
  examples: [["runts features", "namespaces, mount options, capabilities, cgroup and seccomp support"]],
  run() {
    writeJson(JSON.stringify(features(), undefined, 4));
    return 0;
  },
});
