import { NS_GET_NSTYPE } from "../../bindings/abi/ioctl.ts";
import { CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, writeFileSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf, runProgram } from "./run-program.ts";
import { withStub } from "./with-stub.ts";

/** Lines for uid_map and gid_map. */
export type MapLines = readonly [uids: string, gids: string];

/** Makes a user namespace that has these mappings and no process: a stub makes it and ends. user_namespaces(7) */
export function makeUserNamespace([uids, gids]: MapLines, pointer: string): number {
  return withStub((channel, pid) => {
    const program = channel.program();
    program.about(pointer, "make a user namespace for the mount");
    program.do("unshare", [CLONE_NEWUSER]);
    runProgram(channel, program);
    onBehalfOf(pointer, "write the mappings of the mount", () => {
      writeFileSync(`/proc/${pid}/gid_map`, gids);
      writeFileSync(`/proc/${pid}/uid_map`, uids);
    });
    return openUserNamespace(pid, pointer);
  });
}

/** Opens the user namespace of a process. ioctl_nsfs(2) */
export function openUserNamespace(pid: number, pointer: string): number {
  return onBehalfOf(pointer, "open the user namespace of the mappings", () => {
    const path = `/proc/${pid}/ns/user`;
    const fd = openSync(path, "r");
    try {
      if (syscall("ioctl", [fd, NS_GET_NSTYPE, 0], [path]) !== CLONE_NEWUSER) {
        throw new RuntsError(`${pointer}: ${path} is not a user namespace`, { path, pointer });
      }
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  });
}
