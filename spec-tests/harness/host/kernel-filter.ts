import { execFileSync } from "node:child_process";

const PROGRAM = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
def ptrace(request, address, data):
    result = libc.ptrace(request, pid, address, data)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result
pid = int(sys.argv[1])
ptrace(16, None, None)
os.waitpid(pid, 0x40000000)
metadata = (ctypes.c_uint64 * 2)(0, 0)
ptrace(0x420d, 16, ctypes.addressof(metadata))
length = ptrace(0x420c, 0, None)
code = ctypes.create_string_buffer(length * 8)
ptrace(0x420c, 0, ctypes.addressof(code))
ptrace(17, None, None)
print(metadata[1], code.raw.hex())
`;

/** The kernel's copy of a process's newest filter: PTRACE_SECCOMP_GET_METADATA and PTRACE_SECCOMP_GET_FILTER, ptrace(2). */
export function kernelFilter(pid: number): { readonly flags: number; readonly code: string } {
  const output = execFileSync("python3", ["-c", PROGRAM, String(pid)], { encoding: "utf8" });
  const [flags, code = ""] = output.trim().split(" ");
  return { flags: Number(flags), code };
}
