import { statSync } from "../../../bindings/linux/file-status.ts";
import { absolutePath, dirname } from "../../../bindings/linux/paths.ts";
import type { GlobalOptions } from "../../container/context.ts";
import { prepareStateRoot } from "../../container/record/state-root.ts";
import { compareExplanations, differencesText } from "../../explain/compare.ts";
import { type ExplainOptions, explainContainer } from "../../explain/explain.ts";
import type { Explanation } from "../../explain/operation.ts";
import { explanationText } from "../../explain/text.ts";
import type { ParsedArguments } from "../options/arguments.ts";
import { createOptionsFrom } from "../options/create-options.ts";
import type { RunCommand } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson, writeOutput } from "../output.ts";

const DEFAULT_ID = "example";

export const run: RunCommand = async (context, args) => {
  const json = args.flag("json");
  const brief = args.flag("brief");
  const explain = (options: ExplainOptions) =>
    explainContainer(context, options, () => prepareStateRoot(context));
  if (args.flag("diff")) {
    const [one, other] = comparedConfigs(args);
    const before = await explain(one);
    const after = await explain(other);
    const differences = compareExplanations(before, after);
    const names = [args.positional(0), args.positional(1)] as const;
    if (json) writeJson(asJson({ differences }));
    else writeOutput(differencesText(differences, names, { brief }));
    return exitCode(context, before.error ?? after.error);
  }
  const explanation = await explain(optionsFrom(args, args.positionals[0] ?? DEFAULT_ID));
  if (json) writeJson(asJson(explanation));
  else writeOutput(explanationText(explanation, { brief }));
  return exitCode(context, explanation.error);
};

function exitCode({ log }: GlobalOptions, error: Explanation["error"]): number {
  if (error === undefined) return 0;
  log.error(`create or start would fail: ${error.message}`);
  return 1;
}

function asJson(value: object): string {
  return JSON.stringify(value, undefined, 2);
}

function optionsFrom(args: ParsedArguments, id: string): ExplainOptions {
  const as = args.string("as") ?? "root";
  if (as !== "root" && as !== "caller") throw new UsageError(`--as ${as}: must be root or caller`, "explain");
  return { ...createOptionsFrom(args, id), as };
}

/** Each is a bundle, or a file that takes the place of a bundle's config.json. */
function comparedConfigs(args: ParsedArguments): [ExplainOptions, ExplainOptions] {
  if (args.positionals.length !== 2)
    throw new UsageError("--diff compares two bundles or config files", "explain");
  const options = (index: number): ExplainOptions => {
    const path = absolutePath(args.positional(index));
    const common = optionsFrom(args, DEFAULT_ID);
    // What is not there is opened as a file, whose error says so.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return { ...common, bundle: path };
    const bundle = args.string("bundle") === undefined ? dirname(path) : common.bundle;
    return { ...common, bundle, configFile: path };
  };
  return [options(0), options(1)];
}
