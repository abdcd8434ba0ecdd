/** The kernel's input to a device program: struct bpf_cgroup_dev_ctx (linux/bpf.h). */
export interface DeviceRequest {
  readonly type: number;
  readonly access: number;
  readonly major: number;
  readonly minor: number;
}

/** Runs a device program as the kernel would, and returns whether it allows the request. Knows the instructions that program.ts emits. */
export function runDeviceProgram(program: Uint8Array, request: DeviceRequest): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const context = [((request.access << 16) | request.type) >>> 0, request.major, request.minor];
  const registers = new Map<number, bigint>();
  const read = (register: number): bigint => {
    const value = registers.get(register);
    if (value === undefined) throw new Error(`r${register} is read before it is written`);
    return value;
  };
  for (let pc = 0; pc * 8 < program.byteLength; pc++) {
    const code = view.getUint8(pc * 8);
    const destination = view.getUint8(pc * 8 + 1) & 0xf;
    const source = view.getUint8(pc * 8 + 1) >> 4;
    const offset = view.getInt16(pc * 8 + 2, true);
    const immediate = BigInt.asUintN(64, BigInt(view.getInt32(pc * 8 + 4, true)));
    switch (code) {
      case 0x61: // rD = *(u32 *)(rS + off)
        if (source !== 1) throw new Error("only the context can be loaded from");
        registers.set(destination, BigInt(context[offset / 4] ?? 0));
        break;
      case 0xb7: // rD = imm
        registers.set(destination, immediate);
        break;
      case 0xbf: // rD = rS
        registers.set(destination, read(source));
        break;
      case 0x57: // rD &= imm
        registers.set(destination, read(destination) & immediate);
        break;
      case 0x77: // rD >>= imm
        registers.set(destination, read(destination) >> immediate);
        break;
      case 0x15: // if rD == imm goto +off
        if (read(destination) === immediate) pc += offset;
        break;
      case 0x55: // if rD != imm goto +off
        if (read(destination) !== immediate) pc += offset;
        break;
      case 0x95: // exit
        return read(0) === 1n;
      default:
        throw new Error(`unknown instruction 0x${code.toString(16)} at ${pc}`);
    }
  }
  throw new Error("the program does not end with exit");
}
