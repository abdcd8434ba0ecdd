import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { RunCommand } from "../options/description.ts";
import { intelRdtFrom, optionOf, resourcesFrom } from "../options/update.ts";

export const run: RunCommand = (context, args, operations) => {
  const file = args.string("resources");
  const change =
    file === undefined
      ? { resources: resourcesFrom(args), ...intelRdtFrom(args), optionOf }
      : { file: file === "-" ? file : absolutePath(file) };
  operations.update(context, args.positional(0), change);
  return 0;
};
