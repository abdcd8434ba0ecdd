import { utsname } from "../abi/layouts.ts";
import { syscall } from "../ffi/syscall.ts";

/** Release, version (which identifies the build) and machine from uname(2), without the host's names. */
export function kernelBuild(): string {
  const bytes = Buffer.allocUnsafe(utsname.size);
  syscall("uname", [bytes]);
  const field = (offset: number) => bytes.toString("latin1", offset, bytes.indexOf(0, offset));
  return [utsname.release, utsname.version, utsname.machine].map(field).join(" ");
}
