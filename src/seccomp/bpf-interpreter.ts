/** The kernel's input to a filter: struct seccomp_data (linux/seccomp.h) without the instruction pointer. */
export interface SystemCall {
  readonly arch: number;
  readonly nr: number;
  readonly args?: readonly bigint[];
}

/** Runs a seccomp filter as the kernel would, and returns its SECCOMP_RET_* value. Knows the instructions that libseccomp emits. */
export function runFilter(filter: Uint8Array, call: SystemCall): number {
  const data = seccompData(call);
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  let accumulator = 0;
  for (let pc = 0; pc * 8 < filter.byteLength; pc++) {
    const code = view.getUint16(pc * 8, true);
    const k = view.getUint32(pc * 8 + 4, true);
    switch (code) {
      case 0x20: // ld [k]
        accumulator = data.getUint32(k, true);
        break;
      case 0x54: // and #k
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05: // ja k
        pc += k;
        break;
      case 0x06: // ret #k
        return k;
      default:
        pc += view.getUint8(pc * 8 + (jumps(code, accumulator, k) ? 2 : 3));
    }
  }
  throw new Error("the filter ends without a return");
}

function jumps(code: number, accumulator: number, k: number): boolean {
  switch (code) {
    case 0x15:
      return accumulator === k;
    case 0x25:
      return accumulator > k;
    case 0x35:
      return accumulator >= k;
    case 0x45:
      return (accumulator & k) !== 0;
    default:
      throw new Error(`unknown instruction 0x${code.toString(16)}`);
  }
}

function seccompData({ arch, nr, args = [] }: SystemCall): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, nr >>> 0, true);
  view.setUint32(4, arch, true);
  for (const [i, arg] of args.entries()) view.setBigUint64(16 + 8 * i, arg, true);
  return view;
}
