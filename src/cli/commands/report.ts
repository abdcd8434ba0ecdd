import { absolutePath } from "../../../bindings/linux/paths.ts";
import { defineCommand } from "../command.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { pageOptions } from "../options/page-options.ts";
import { bundleOption, configOption } from "../options/shared-options.ts";
import { UsageError } from "../options/usage-error.ts";
import { writePage } from "../output.ts";

const options = {
  bundle: { ...bundleOption, description: "directory of a bundle, in place of a container" },
  config: configOption,
  ...pageOptions,
} as const satisfies OptionTable;

export const reportCommand = defineCommand({
  name: "report",
  summary: "write a page about a container or a bundle",
  positionals: { usage: "[container-id]", min: 0, max: 1 },
  options,
  description: [
    "Writes one HTML file about a container in any state, or about a bundle, for a ticket or a colleague: the config with the findings of " +
      "`validate` beside its lines; the operations of `explain`, each linked with its property; mounts, limits and their use, namespaces, " +
      "capabilities, the seccomp profile in words, hooks; the findings of `doctor`; versions. The file needs no network.",
    "Values of environments and annotations are masked wherever they appear on the page, unless `--show-env` is given. So are passwords in " +
      "arguments, as far as the name of the option tells. Read the page before you pass it on.",
  ],
  examples: [
    ["runts report web -o web.html", "a container"],
    ["runts report --bundle /srv/web -o web.html", "a bundle, before there is a container"],
    ["runts report --show-env web -o web.html", "with the values of its environment"],
  ],
  exitStatus: [
    ["0", "the page is written, whatever it says"],
    ["1", "there is no such container, or its config can't be read"],
  ],
  // Imports on demand: only this command needs the modules.
  async run(context, { positionals: [id], options: given }) {
    const { collectBundle, collectContainer } = await import("../../report/collect.ts");
    const { reportPage } = await import("../../report/report-page.ts");
    const report =
      id === undefined
        ? await collectBundle(context, bundleFrom(given), { host: true })
        : await collectContainer(context, withoutBundle(id, given));
    writePage(given.output, reportPage(report, { showEnv: given["show-env"] }));
    return 0;
  },
});

type Values = OptionValues<typeof options>;

function bundleFrom({ bundle, config }: Values) {
  if (bundle === undefined) throw new UsageError("report needs a container or --bundle", "report");
  return {
    id: "example",
    bundle: absolutePath(bundle),
    ...(config !== undefined && { configFile: absolutePath(config) }),
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    as: "root",
  } as const;
}

function withoutBundle(id: string, { bundle, config }: Values): string {
  const [option] = [bundle !== undefined && "--bundle", config !== undefined && "--config"].filter(Boolean);
  if (option !== undefined) throw new UsageError(`report of a container takes no ${option}`, "report");
  return id;
}
