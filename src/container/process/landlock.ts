import { errnoMessage } from "../../../bindings/abi/errno.ts";
import { kernelLandlock } from "../../../bindings/linux/landlock.ts";
import { RuntsError, reworded } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { domainFor, type LandlockDomain } from "../../plan/process/landlock.ts";
import { LANDLOCK_ANNOTATION, LANDLOCK_POINTER, landlockOf, RIGHTS_OF_FILES } from "../../spec/landlock.ts";
import type { Config, Process } from "../../spec/types.ts";

/**
 * The Landlock domain of a process of the container, as far as this kernel has it; undefined if the config asks for none. Warns of rights
 * that the kernel lacks, or throws if the config does not allow to leave them out.
 */
export function landlockDomain(
  config: Config,
  process: Process,
  warn: (message: string) => void,
): LandlockDomain | undefined {
  const landlock = landlockOf(config);
  if (landlock === undefined) return undefined;
  if (process.noNewPrivileges !== true) {
    const pointer = "/process/noNewPrivileges";
    const message = `${pointer}: must be true, as the container has Landlock rules (${LANDLOCK_POINTER})`;
    throw new RuntsError(message, { operation: "landlock_restrict_self", errno: "EPERM", pointer });
  }
  const { abi, errno } = onBehalfOf(LANDLOCK_POINTER, "ask for the version of Landlock", kernelLandlock);
  if (errno !== undefined) {
    const reason = `this kernel has no Landlock that can be used (${errnoMessage(errno)})`;
    if (!landlock.bestEffort) throw unsupported(LANDLOCK_POINTER, reason, errno);
    warn(`${LANDLOCK_POINTER}: ${reason}: the process runs without these rules`);
    return undefined;
  }
  const { domain, lacking } = domainFor(landlock, abi);
  for (const { pointer, words } of lacking) {
    const reason = `Landlock of this kernel (ABI ${abi}) has no ${words.join(", ")}`;
    if (!landlock.bestEffort) throw unsupported(pointer, reason, "EINVAL");
    const denied = words.includes("refer") ? ", and links and renames between directories are denied" : "";
    warn(`${pointer}: ${reason}: left out${denied}`);
  }
  return domain;
}

function unsupported(pointer: string, reason: string, errno: string): RuntsError {
  const message = `${pointer}: ${reason}, and enableBestEffort is false`;
  return new RuntsError(message, { operation: "landlock_create_ruleset", errno, pointer });
}

/** Adds to an error what the rules have to do with it, where the kernel's errno does not say so. Returns other errors as they are. */
export function withLandlockHint(error: unknown, config: Config): unknown {
  if (!(error instanceof RuntsError) || config.annotations?.[LANDLOCK_ANNOTATION] === undefined) return error;
  const { operation, errno } = error;
  if (operation === "landlock_add_rule" && errno === "EINVAL") {
    const rights = RIGHTS_OF_FILES.join(", ");
    return reworded(error, `${error.message} (it is no directory: a rule for it takes only ${rights})`);
  }
  if (operation !== "execve" || errno !== "EACCES") return error;
  const needed = "execute and read_file for the program and for its loader or interpreter";
  return reworded(error, `${error.message} (do the rules of ${LANDLOCK_POINTER} have ${needed}?)`);
}
