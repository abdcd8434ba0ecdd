import { absolutePath } from "../../../bindings/linux/paths.ts";
import { summary, validationText } from "../../validate/text.ts";
import { validateBundle } from "../../validate/validate.ts";
import type { RunCommand } from "../options/description.ts";
import { writeJson, writeOutput } from "../output.ts";

export const run: RunCommand = async (context, args) => {
  const config = args.string("config");
  const validation = await validateBundle(context, {
    bundle: absolutePath(args.string("bundle") ?? "."),
    ...(config !== undefined && { configFile: absolutePath(config) }),
    host: args.flag("host"),
  });
  if (args.flag("json")) writeJson(JSON.stringify(validation, undefined, 2));
  else writeOutput(validationText(validation));
  const failed = validation.errors > 0 || (args.flag("strict") && validation.warnings > 0);
  if (failed) context.log.error(`${validation.file}: ${summary(validation)}`);
  return failed ? 1 : 0;
};
