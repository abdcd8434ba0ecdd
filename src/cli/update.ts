import { RuntsError } from "../errors.ts";
import { absolutePath } from "./absolute-path.ts";
import type { RunCommand } from "./description.ts";
import { optionOf, resourcesFrom } from "./update-options.ts";

/** Intel RDT, which needs a resctrl file system. */
const UNSUPPORTED = ["l3-cache-schema", "mem-bw-schema"];

export const run: RunCommand = async (context, args, operations) => {
  for (const name of UNSUPPORTED) {
    if (args.string(name) !== undefined)
      throw new RuntsError(`--${name}: is not supported by this version of runts`);
  }
  const file = args.string("resources");
  const change =
    file === undefined
      ? { resources: resourcesFrom(args), optionOf }
      : { file: file === "-" ? file : absolutePath(file) };
  await operations.update(context, args.positional(0), change);
  return 0;
};
