import { statSync } from "../../../bindings/linux/file-status.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import { pointerToken } from "../../spec/json/scanner.ts";
import { namespaceFile } from "../../spec/namespaces.ts";
import { sysctlNamespace } from "../../spec/rules/sysctl.ts";
import type { Config } from "../../spec/types.ts";

/** A namespace joined by path may be the runtime's own: its parameters are the host's (config-linux.md, Sysctl). */
export function checkSysctlNamespaces(config: Config): void {
  const { joined } = namespacesOf(config);
  for (const key of Object.keys(config.linux?.sysctl ?? {})) {
    const type = sysctlNamespace(key);
    const namespace = type === undefined ? undefined : joined.get(type);
    if (type === undefined || namespace === undefined) continue;
    const { path, pointer: at } = namespace;
    const wanted = onBehalfOf(at, `look at the ${type} namespace`, () => statSync(path));
    const own = statSync(`/proc/self/ns/${namespaceFile(type)}`);
    if (wanted.ino !== own.ino || wanted.dev !== own.dev) continue;
    const pointer = `/linux/sysctl/${pointerToken(key)}`;
    throw new RuntsError(
      `${pointer}: the ${type} namespace is the host's, setting it would change the host`,
      {
        operation: "create",
        path,
        pointer,
      },
    );
  }
}
