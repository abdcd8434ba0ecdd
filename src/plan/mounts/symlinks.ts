import { PATH_MAX } from "../../../bindings/abi/limits.ts";
import { basename, dirname } from "../../../bindings/linux/paths.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import { wantsIdMap } from "../../spec/id-mapped-mount.ts";
import type { Mount } from "../../spec/types.ts";
import type { InitPlan, ReplyCheck } from "../init-plan.ts";
import { openTarget } from "./made-mounts.ts";
import type { MountOptions } from "./options.ts";

/** The parts of a MountRequest that crun's options for symbolic links need. */
export interface LinkRequest {
  readonly mount: Mount;
  readonly pointer: string;
  readonly destination: string;
  readonly options: MountOptions;
  readonly link: string | undefined;
}

/** Refuses link options that contradict each other, or that this mount can't have. */
export function checkLinkOptions({ mount, pointer, destination, options, link }: LinkRequest): void {
  const { copySymlink, sourceNoFollow, destinationNoFollow } = options;
  if (!copySymlink && !sourceNoFollow && !destinationNoFollow) return;
  const refuse = (message: string): never => {
    const path = `${pointer}/options`;
    throw new RuntsError(`${path}: ${message}`, { operation: "mount", path: destination, pointer: path });
  };
  if (!options.bind || options.remount)
    refuse("copy-symlink, src-nofollow and dest-nofollow are options of bind mounts");
  if (copySymlink && (sourceNoFollow || destinationNoFollow))
    refuse("copy-symlink can't be combined with src-nofollow and dest-nofollow");
  if (link !== undefined && wantsIdMap(mount))
    refuse("a symbolic link that is copied can't have ID mappings");
}

/**
 * crun's option copy-symlink (podman's no-dereference): makes a copy of the source, a symbolic link, instead of a mount. If something is at
 * the destination already, the returned check fails unless it is the same link. crun(1)
 */
export function copySymlink(
  program: Program,
  plan: InitPlan,
  { destination, pointer }: Pick<LinkRequest, "destination" | "pointer">,
  link: string,
): ReplyCheck {
  const parent = openTarget(program, plan, dirname(destination), "directory");
  const name = basename(destination);
  const operation = program.operations.length;
  const made = program.call("symlinkat", [link, parent.fd, name], {
    tolerate: ["EEXIST"],
    path: destination,
  });
  const output = program.outputs.length;
  program.do("readlinkat", [parent.fd, name, program.output(PATH_MAX), PATH_MAX], {
    if: [made, "failed"],
    tolerate: ["EINVAL"],
    path: destination,
  });
  program.do("close", [parent.fd]);
  return ({ results, outputs }) => {
    if ((results[operation] ?? 0) === 0) return;
    const found = results[operation + 1] ?? 0;
    const there = new TextDecoder().decode(outputs[output]?.subarray(0, Math.max(found, 0)));
    if (there === link) return;
    const message = `${pointer}: ${destination} exists and is not a symbolic link to ${link}`;
    throw new RuntsError(message, { operation: "symlinkat", errno: "EEXIST", path: destination, pointer });
  };
}
