import { EEXIST, errnoName } from "../abi/errno.ts";
import { MFD_CLOEXEC } from "../abi/fcntl.ts";
import { copyMemory, type NativeArgument, type NativeFunction } from "../ffi/koffi.ts";
import { SyscallError } from "../syscall-error.ts";
import { fstatSync } from "./file-status.ts";
import { closeSync, readSync } from "./files.ts";
import { openLibrary } from "./shared-library.ts";

/** `SCMP_ARCH_*` of seccomp.h: libseccomp's architecture tokens, equal to the kernel's `AUDIT_ARCH_*` except for x32. */
export type ScmpArch = number;

/** `struct scmp_arg_cmp`: a comparison of one argument of a system call. */
export interface ArgumentComparison {
  readonly arg: number;
  /** `enum scmp_compare`. */
  readonly op: number;
  readonly datumA: bigint;
  readonly datumB: bigint;
}

/** A `scmp_filter_ctx`. Dispose of it with `using`. */
export interface FilterContext extends Disposable {
  /** `int seccomp_arch_add(ctx, uint32_t arch)`. Adding an architecture twice is not an error. */
  addArch(arch: ScmpArch): void;
  /** `int seccomp_rule_add_array(ctx, uint32_t action, int syscall, unsigned int n, const struct scmp_arg_cmp *)`. */
  addRule(action: number, syscall: number, comparisons: readonly ArgumentComparison[]): void;
  /** The filter as an array of `struct sock_filter`, by `seccomp_export_bpf_mem` of libseccomp 2.6 if it has that. */
  exportBpf(): Uint8Array;
  /** Like exportBpf, by `seccomp_export_bpf` into a memfd, for libseccomp before 2.6. */
  exportBpfThroughMemfd(): Uint8Array;
}

export interface Libseccomp {
  /** `const struct scmp_version *seccomp_version(void)`, as in `2.6.0`. */
  version(): string;
  /** `uint32_t seccomp_arch_native(void)`. */
  nativeArch(): ScmpArch;
  /**
   * `int seccomp_syscall_resolve_name_arch(uint32_t arch, const char *name)` for each name. A negative number other than
   * {@link UNKNOWN_SYSCALL} means that the architecture lacks the system call, or has no number of its own for it.
   */
  resolveSyscalls(arch: ScmpArch, names: readonly string[]): Int32Array;
  /**
   * `char *seccomp_syscall_resolve_num_arch(uint32_t arch, int num)`; undefined for a number without a name. The caller should free
   * the text; runts asks for a few only, and doesn't.
   */
  syscallName(arch: ScmpArch, number: number): string | undefined;
  /** `scmp_filter_ctx seccomp_init(uint32_t def_action)`. */
  createFilter(defaultAction: number): FilterContext;
}

/** `__NR_SCMP_ERROR`: no architecture of this libseccomp has a system call of that name. */
export const UNKNOWN_SYSCALL = -1;

/** Twice BPF_MAXINSNS (linux/bpf_common.h) instructions of 8 bytes, so that the length of a filter that is too long can be reported. */
const exportBufferBytes = 2 * 4096 * 8;

/**
 * Loads libseccomp. Throws SyscallError `dlopen` if it is not installed.
 *
 * Functions are bound at their first use: binding one costs as much as about fifty calls of it.
 */
export function openLibseccomp(soname = "libseccomp.so.2"): Libseccomp {
  const bind = binder(soname);
  let resolve: NativeFunction | undefined;
  return {
    version: () => {
      // struct scmp_version: unsigned int major, minor, micro.
      const numbers = new Uint32Array(3);
      const address = BigInt(bind("uintptr_t seccomp_version(void)")());
      copyMemory(new Uint8Array(numbers.buffer), address, numbers.byteLength);
      return numbers.join(".");
    },
    nativeArch: () => Number(bind("uint32_t seccomp_arch_native(void)")()),
    resolveSyscalls: (arch, names) => {
      resolve ??= bind("int seccomp_syscall_resolve_name_arch(uint32_t arch, const char *name)");
      const numbers = new Int32Array(names.length);
      for (let i = 0; i < names.length; i++) numbers[i] = Number(resolve(arch, names[i] ?? null));
      return numbers;
    },
    syscallName: (arch, number) => {
      const name: unknown = bind("const char *seccomp_syscall_resolve_num_arch(uint32_t arch, int num)")(
        arch,
        number,
      );
      return typeof name === "string" ? name : undefined;
    },
    createFilter: (defaultAction) => {
      const context = bind("uintptr_t seccomp_init(uint32_t def_action)")(defaultAction);
      if (Number(context) === 0) {
        throw new SyscallError("seccomp_init", "EINVAL", [`0x${defaultAction.toString(16)}`]);
      }
      return filterContext(bind, context);
    },
  };
}

type Bind = (prototype: string) => NativeFunction;

function binder(soname: string): Bind {
  const library = openLibrary(soname);
  return (prototype) => library.func(prototype);
}

function filterContext(bind: Bind, context: NativeArgument): FilterContext {
  let ruleAdd: NativeFunction | undefined;
  const exportBpfThroughMemfd = () => exportThroughMemfd(bind, context);
  return {
    addArch: (arch) => {
      const result = Number(bind("int seccomp_arch_add(uintptr_t ctx, uint32_t arch)")(context, arch));
      if (result !== -EEXIST) check("seccomp_arch_add", result, [`0x${arch.toString(16)}`]);
    },
    addRule: (action, syscall, comparisons) => {
      ruleAdd ??= bind(
        "int seccomp_rule_add_array(uintptr_t ctx, uint32_t action, int syscall, uint32_t n, const void *args)",
      );
      const args = comparisons.length === 0 ? null : encodeComparisons(comparisons);
      const result = Number(ruleAdd(context, action, syscall, comparisons.length, args));
      check("seccomp_rule_add_array", result, [String(syscall)]);
    },
    exportBpf: () => {
      let exportToMemory: NativeFunction;
      try {
        exportToMemory = bind("int seccomp_export_bpf_mem(uintptr_t ctx, void *buf, void *len)");
      } catch {
        return exportBpfThroughMemfd();
      }
      const buffer = new Uint8Array(exportBufferBytes);
      const length = new BigUint64Array([BigInt(buffer.length)]);
      const lengthBytes = new Uint8Array(length.buffer);
      check("seccomp_export_bpf_mem", Number(exportToMemory(context, buffer, lengthBytes)), []);
      return buffer.subarray(0, Number(length[0]));
    },
    exportBpfThroughMemfd,
    [Symbol.dispose]: () => {
      bind("void seccomp_release(uintptr_t ctx)")(context);
    },
  };
}

/** Precondition: no other thread closes descriptors. memfd_create is libc's, found through libseccomp's dependencies (dlsym(3)). */
function exportThroughMemfd(bind: Bind, context: NativeArgument): Uint8Array {
  const fd = Number(bind("int memfd_create(const char *name, uint32_t flags)")("seccomp-bpf", MFD_CLOEXEC));
  if (fd < 0) throw new SyscallError("memfd_create", "EMFILE");
  try {
    const result = Number(bind("int seccomp_export_bpf(uintptr_t ctx, int fd)")(context, fd));
    check("seccomp_export_bpf", result, []);
    const buffer = new Uint8Array(fstatSync(fd).size);
    readSync(fd, buffer, 0, buffer.length, 0);
    return buffer;
  } finally {
    closeSync(fd);
  }
}

/** The array of `struct scmp_arg_cmp`: { unsigned int arg; enum scmp_compare op; uint64_t datum_a, datum_b; }. */
function encodeComparisons(comparisons: readonly ArgumentComparison[]): Uint8Array {
  const bytes = new Uint8Array(24 * comparisons.length);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const { arg, op, datumA, datumB } of comparisons) {
    view.setUint32(offset, arg, true);
    view.setUint32(offset + 4, op, true);
    view.setBigUint64(offset + 8, datumA, true);
    view.setBigUint64(offset + 16, datumB, true);
    offset += 24;
  }
  return bytes;
}

function check(call: string, result: number, args: readonly string[]): void {
  if (result < 0) throw new SyscallError(call, errnoName(-result), args);
}
