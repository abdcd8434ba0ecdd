import { statSync } from "../../../bindings/linux/file-status.ts";
import { absolutePath, dirname } from "../../../bindings/linux/paths.ts";
import type { GlobalOptions } from "../../container/context.ts";
import { prepareStateRoot } from "../../container/record/state-root.ts";
import type { ExplainOptions } from "../../explain/explain.ts";
import type { Explanation } from "../../explain/operation.ts";
import { defineCommand } from "../command.ts";
import { createOptionsFrom } from "../options/create-options.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { pageOptions } from "../options/page-options.ts";
import {
  bundleOption,
  configOption,
  consoleSocketOption,
  noNewKeyringOption,
  noPivotOption,
  pidFileOption,
} from "../options/shared-options.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput, writePage } from "../output.ts";

const DEFAULT_ID = "example";

const options = {
  bundle: bundleOption,
  config: configOption,
  json: { type: "boolean", description: "print JSON: one object per operation" },
  html: { type: "boolean", description: "write an HTML page with the config and the operations" },
  ...pageOptions,
  brief: { type: "boolean", description: "print each step and its reason, without the system calls" },
  diff: {
    type: "boolean",
    description: "print the differences between two bundles or config files, given as arguments",
  },
  as: {
    type: "string",
    description: "whose privileges create would have: root, or the caller of this command",
    default: "root",
  },
  "console-socket": consoleSocketOption,
  "pid-file": pidFileOption,
  "no-pivot": noPivotOption,
  "no-new-keyring": noNewKeyringOption,
} as const satisfies OptionTable;

type Values = OptionValues<typeof options>;

export const explainCommand = defineCommand({
  name: "explain",
  summary: "print what create and start would do",
  positionals: { usage: "[container-id]", min: 0, max: 2 },
  options,
  usesState: (args) => args.options.as === "caller",
  description: [
    "Prints every operation of create and start in order, by the steps of the specification's lifecycle: its purpose, its system calls, and " +
      "the JSON pointer of the property that asks for it. It changes nothing and needs no privileges. A value that is known only at run time " +
      "stands in angle brackets.",
    "With `--diff` the two arguments are bundles or config files: - marks what only the first asks for, + what only the second asks for.",
    "With the global option `--systemd-cgroup`, it also prints the request to systemd with each property of the unit. Without systemd it " +
      "assumes one; it asks a running systemd only for that systemd's own cgroup.",
  ],
  examples: [
    ["runts explain --bundle /srv/web", "all system calls"],
    ["runts explain --brief --bundle /srv/web", "each step and its reason"],
    ["runts explain --json --bundle /srv/web", "each operation as JSON"],
    [
      "runts explain --html -o web.html --bundle /srv/web",
      "a page in which operations and properties are linked",
    ],
    ["runts explain --diff old.json new.json", "the effect of a change of the config"],
  ],
  exitStatus: [
    ["0", "create and start would do this"],
    ["1", "create or start would fail after the last operation"],
  ],
  // Imports on demand: the modules load parts of Node, which takes some 4 ms.
  async run(context, { positionals, options }) {
    const { explainContainer } = await import("../../explain/explain.ts");
    const { explanationText } = await import("../../explain/text.ts");
    const { json, brief } = options;
    checkPageOptions(options);
    const explain = (given: ExplainOptions) =>
      explainContainer(context, given, () => prepareStateRoot(context));
    if (options.diff) {
      const { compareExplanations, differencesText } = await import("../../explain/compare.ts");
      const [one, other] = positionals;
      if (one === undefined || other === undefined)
        throw new UsageError("--diff compares two bundles or config files", "explain");
      const before = await explain(comparedConfig(one, options));
      const after = await explain(comparedConfig(other, options));
      const differences = compareExplanations(before, after);
      if (json) writeJson(asJson({ differences }));
      else writeOutput(differencesText(differences, [one, other], { brief }));
      return exitCode(context, before.error ?? after.error);
    }
    if (options.html) {
      const { collectBundle } = await import("../../report/collect.ts");
      const { reportPage } = await import("../../report/report-page.ts");
      const { summary } = await import("../../validate/text.ts");
      const given = explainOptionsFrom(positionals[0] ?? DEFAULT_ID, options);
      const report = await collectBundle(context, given, { host: false });
      writePage(options.output, reportPage(report, { showEnv: options["show-env"] }));
      if (report.explanation !== undefined) return exitCode(context, report.explanation.error);
      context.log.error(`create would fail: ${report.config.path}: ${summary(report.config.validation)}`);
      return 1;
    }
    const explanation = await explain(explainOptionsFrom(positionals[0] ?? DEFAULT_ID, options));
    if (json) writeJson(asJson(explanation));
    else writeOutput(explanationText(explanation, { brief }));
    return exitCode(context, explanation.error);
  },
});

function exitCode({ log }: GlobalOptions, error: Explanation["error"]): number {
  if (error === undefined) return 0;
  log.error(`create or start would fail: ${error.message}`);
  return 1;
}

/** Options of the page mean nothing without one, and a page shows one config in full. */
function checkPageOptions({ html, json, brief, diff, output, "show-env": showEnv }: Values): void {
  if (!html && output !== undefined) throw new UsageError("--output needs --html", "explain");
  if (!html && showEnv) throw new UsageError("--show-env needs --html", "explain");
  for (const [name, given] of Object.entries({ json, brief, diff }))
    if (html && given) throw new UsageError(`--html can't be used with --${name}`, "explain");
}

function asJson(value: object): string {
  return JSON.stringify(value, undefined, 2);
}

function explainOptionsFrom(id: string, values: Values): ExplainOptions {
  const as = values.as || options.as.default;
  if (as !== "root" && as !== "caller") throw new UsageError(`--as ${as}: must be root or caller`, "explain");
  return { ...createOptionsFrom(id, values), as };
}

/** The path is a bundle, or a file that replaces a bundle's config.json. */
function comparedConfig(given: string, values: Values): ExplainOptions {
  const path = absolutePath(given);
  const common = explainOptionsFrom(DEFAULT_ID, values);
  // A path that does not exist is opened as a file, whose error says so.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return { ...common, bundle: path };
  const bundle = values.bundle === undefined ? dirname(path) : common.bundle;
  return { ...common, bundle, configFile: path };
}
