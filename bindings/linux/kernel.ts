import { utsname } from "../abi/layouts.ts";
import { syscall } from "../ffi/syscall.ts";

/** Release, version (which names the build) and machine of uname(2); not the names of the host. */
export function kernelBuild(): string {
  const bytes = Buffer.allocUnsafe(utsname.size);
  syscall("uname", [bytes]);
  const field = (offset: number) => bytes.toString("latin1", offset, bytes.indexOf(0, offset));
  return [utsname.release, utsname.version, utsname.machine].map(field).join(" ");
}
