import { absolutePath } from "../../../bindings/linux/paths.ts";
import { defineCommand } from "../command.ts";
import { bundleOption, configOption, noArguments } from "../options/shared-options.ts";
import { writeJson, writeOutput } from "../output.ts";

export const validateCommand = defineCommand({
  name: "validate",
  summary: "find all errors in a bundle",
  positionals: noArguments,
  options: {
    bundle: bundleOption,
    config: configOption,
    host: {
      type: "boolean",
      description: "also find what this host's kernel and cgroups, and this user, can't do",
    },
    strict: { type: "boolean", description: "fail also on warnings, with exit code 1" },
    json: { type: "boolean", description: "print JSON" },
  },
  usesState: ({ options }) => options.host,
  description: [
    "Finds all errors in a bundle at once, each with its line, the JSON pointer, the expected value and a fix. With an error, the container " +
      "can't be created or started. A warning is about something legal that was probably not intended: misspelt properties, mounts that hide " +
      "each other, capabilities that the user can't have, filters that deny what every program needs.",
    "With `--host` it also checks this host and this user's privileges: controllers, file systems, limits, hooks, namespaces to join. " +
      "It creates and changes nothing.",
  ],
  examples: [
    ["runts validate --bundle /srv/web", "the bundle alone, in CI"],
    ["runts validate --strict --bundle /srv/web", "fail on warnings too"],
    ["runts validate --host --bundle /srv/web", "before creating the container on this host"],
    ["runts validate --json --config config.json", "for programs"],
  ],
  exitStatus: [
    ["0", "no errors; with --strict, no warnings either"],
    ["1", "there are errors; with --strict, or warnings"],
  ],
  // Imports on demand: the modules load parts of Node, which takes some 4 ms.
  async run(context, { options: { bundle = ".", config, host, strict, json } }) {
    const { validateBundle } = await import("../../validate/validate.ts");
    const { summary, validationText } = await import("../../validate/text.ts");
    const validation = await validateBundle(context, {
      bundle: absolutePath(bundle),
      ...(config !== undefined && { configFile: absolutePath(config) }),
      host,
    });
    if (json) writeJson(JSON.stringify(validation, undefined, 2));
    else writeOutput(validationText(validation));
    const failed = validation.errors > 0 || (strict && validation.warnings > 0);
    if (failed) context.log.error(`${validation.file}: ${summary(validation)}`);
    return failed ? 1 : 0;
  },
});
