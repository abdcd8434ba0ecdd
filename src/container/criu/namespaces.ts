import { openSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import type { CriuOptions, CriuVersion } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import type { Config } from "../../spec/types.ts";
import { EXTERNAL_NAMESPACES } from "./session.ts";

interface Joined {
  readonly path: string;
  readonly pointer: string;
}

/** criu's names of the types that it joins by path itself. */
const JOINABLE: Readonly<Record<string, string>> = { ipc: "ipc", uts: "uts", time: "time", user: "user" };

/**
 * Namespaces that a restored container joins by path. The network and pid namespace are not in the images; they are handed to criu
 * as open descriptors.
 */
export class NamespacesToJoin {
  readonly #external: { readonly name: keyof typeof EXTERNAL_NAMESPACES; readonly joined: Joined }[] = [];
  readonly #others: { readonly type: string; readonly path: string }[] = [];

  constructor(config: Config) {
    for (const [type, joined] of namespacesOf(config).joined) {
      const name = JOINABLE[type];
      if (type === "network" || type === "pid") this.#external.push({ name: type, joined });
      else if (name !== undefined) this.#others.push({ type: name, path: joined.path });
      else throw refusal(joined, `criu can't restore into a ${type} namespace that is joined by path`);
    }
  }

  /** Opens the namespaces that have to be handed over, and adds them to `opened`. */
  open(opened: OwnedDescriptor[]): void {
    for (const { name, joined } of this.#external) {
      const { path, pointer } = joined;
      const purpose = `open the ${name} namespace, which must exist`;
      opened.push(new OwnedDescriptor(onBehalfOf(pointer, purpose, () => openSync(path, "r"))));
    }
  }

  /** `numbers` are those that the namespaces of `open` have in criu. */
  options(
    numbers: readonly number[],
    version: CriuVersion,
  ): Required<Pick<CriuOptions, "joinNamespaces" | "inheritFds">> {
    const inheritFds = this.#external.map(({ name, joined }, index) => {
      const { key, criu } = EXTERNAL_NAMESPACES[name];
      if (version.number >= criu) return { key, fd: numbers[index] ?? -1 };
      throw refusal(joined, `criu ${version.text} is too old for a ${name} namespace that is joined by path`);
    });
    return { joinNamespaces: this.#others, inheritFds };
  }
}

function refusal({ path, pointer }: Joined, reason: string): RuntsError {
  return new RuntsError(`${pointer}: ${reason}`, { operation: "restore", path, pointer });
}
