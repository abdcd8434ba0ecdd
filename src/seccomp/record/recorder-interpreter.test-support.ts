/** A process that makes a system call, as the recorder's program sees it. */
export interface SeenCall {
  readonly inCgroup: boolean;
  readonly comm: string;
  readonly number: bigint;
  /** The kernel's memory by address: struct pt_regs at REGISTERS, struct task_struct at TASK. */
  readonly memory: ReadonlyMap<bigint, bigint>;
}

export const REGISTERS = 0x1000n;
export const TASK = 0x2000n;

/** The recorder's maps. */
export interface Maps {
  readonly calls: Uint8Array;
  /** `number value` */
  readonly values: Set<string>;
  readonly valuesLimit: number;
}

const STACK = 0x10_0000n;
const CALLS = 0x20_0000n;
const CONTEXT = 0x30_0000n;

/** Runs a recorder's program as the kernel would. Knows the instructions and kernel functions of recorder-program.ts, and no bounds. */
export function runRecorder(program: Uint8Array, seen: SeenCall, maps: Maps): void {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const stack = new DataView(new ArrayBuffer(512));
  const registers = new BigUint64Array(11);
  registers[1] = CONTEXT;
  registers[10] = STACK;
  const get = (register: number): bigint => registers[register] ?? 0n;
  const set = (register: number, value: bigint): void => {
    registers[register] = BigInt.asUintN(64, value);
  };
  const onStack = (address: bigint): number => Number(address - STACK) + 512;
  const load = (address: bigint, size: number): bigint => {
    if (address === CONTEXT) return REGISTERS;
    if (address === CONTEXT + 8n) return BigInt.asUintN(64, seen.number);
    return size === 8
      ? stack.getBigUint64(onStack(address), true)
      : BigInt(stack.getUint32(onStack(address), true));
  };
  const store = (address: bigint, size: number, value: bigint): void => {
    if (address >= CALLS && size === 1) maps.calls[Number(address - CALLS)] = Number(value);
    else if (size === 8) stack.setBigUint64(onStack(address), value, true);
    else stack.setUint32(onStack(address), Number(value), true);
  };
  const call = (kernelFunction: number): bigint => {
    switch (kernelFunction) {
      case 1: // bpf_map_lookup_elem
        return CALLS;
      case 2: {
        // bpf_map_update_elem
        const key = `${load(get(2), 8)} ${load(get(2) + 8n, 8)}`;
        if (maps.values.has(key)) return -17n;
        if (maps.values.size === maps.valuesLimit) return -7n;
        maps.values.add(key);
        return 0n;
      }
      case 16: // bpf_get_current_comm
        for (let index = 0; index < 16; index++)
          stack.setUint8(onStack(get(1)) + index, seen.comm.charCodeAt(index) || 0);
        return 0n;
      case 35: // bpf_get_current_task
        return TASK;
      case 37: // bpf_current_task_under_cgroup
        return seen.inCgroup ? 1n : 0n;
      case 113: // bpf_probe_read_kernel
        store(get(1), 8, seen.memory.get(get(3)) ?? 0n);
        return 0n;
      default:
        throw new Error(`unknown kernel function ${kernelFunction}`);
    }
  };
  for (let pc = 0; pc * 8 < program.byteLength; pc++) {
    const code = view.getUint8(pc * 8);
    const to = view.getUint8(pc * 8 + 1) & 0xf;
    const from = view.getUint8(pc * 8 + 1) >> 4;
    const offset = BigInt(view.getInt16(pc * 8 + 2, true));
    const immediate = BigInt.asUintN(64, BigInt(view.getInt32(pc * 8 + 4, true)));
    const jumpIf = (condition: boolean): void => {
      if (condition) pc += Number(offset);
    };
    switch (code) {
      case 0x61:
        set(to, load(get(from) + offset, 4));
        break;
      case 0x79:
        set(to, load(get(from) + offset, 8));
        break;
      case 0x18:
        set(
          to,
          (BigInt(view.getUint32(pc * 8 + 12, true)) << 32n) | BigInt(view.getUint32(pc * 8 + 4, true)),
        );
        pc += 1;
        break;
      case 0x62:
        store(get(to) + offset, 4, immediate);
        break;
      case 0x72:
        store(get(to) + offset, 1, immediate);
        break;
      case 0x7b:
        store(get(to) + offset, 8, get(from));
        break;
      case 0xb7:
        set(to, immediate);
        break;
      case 0xbf:
        set(to, get(from));
        break;
      case 0x07:
        set(to, get(to) + immediate);
        break;
      case 0x0f:
        set(to, get(to) + get(from));
        break;
      case 0x57:
        set(to, get(to) & immediate);
        break;
      case 0x5f:
        set(to, get(to) & get(from));
        break;
      case 0x05:
        jumpIf(true);
        break;
      case 0x15:
        jumpIf(get(to) === immediate);
        break;
      case 0x25:
        jumpIf(get(to) > immediate);
        break;
      case 0x45:
        jumpIf((get(to) & immediate) !== 0n);
        break;
      case 0x55:
        jumpIf(get(to) !== immediate);
        break;
      case 0x5d:
        jumpIf(get(to) !== get(from));
        break;
      case 0x85:
        set(0, call(Number(immediate)));
        break;
      case 0x95:
        return;
      default:
        throw new Error(`unknown instruction 0x${code.toString(16)} at ${pc}`);
    }
  }
  throw new Error("the program does not end with exit");
}
