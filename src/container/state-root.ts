import { statSync } from "../../bindings/linux/file-status.ts";
import { RuntsError } from "../errors.ts";

/**
 * The directory of all containers decides what the runtime kills, removes and executes. It is refused where anybody but its user
 * and root may put something into it, sticky or not. One that isn't there yet is made by the runtime itself.
 */
export function checkStateRoot(root: string): void {
  const stat = statSync(root, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const { uid, gid, mode } = stat;
  const refuse = (reason: string): never => {
    throw new RuntsError(`--root ${root} ${reason}: whoever can write there controls the containers`, {
      operation: "stat",
      errno: "EPERM",
      path: root,
    });
  };
  if (uid !== 0 && uid !== process.geteuid?.()) refuse(`belongs to user ${uid}`);
  const ownGroup = gid === 0 || gid === process.getegid?.();
  if ((mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !ownGroup)) refuse("can be written by other users");
}
