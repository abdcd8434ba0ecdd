import { O_RDONLY } from "../../bindings/abi/fcntl.ts";
import * as request from "../../bindings/abi/ptrace.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { numbers, type SyscallName, syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readSync } from "../../bindings/linux/files.ts";
import { waitAnyReadable } from "../../bindings/linux/poll.ts";
import { RuntsError } from "../errors.ts";

const WALL = 0x40000000;
const STOPPED = 0x7f;

/** Offsets in struct user_regs_struct of x86-64: sys/user.h. */
const AT = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  rbp: 32,
  rbx: 40,
  r10: 56,
  rax: 80,
  rdx: 96,
  rsi: 104,
  rdi: 112,
  origRax: 120,
  rip: 128,
  rsp: 152,
  fsBase: 168,
} as const;
const REGISTERS_SIZE = 216;
/** Length of the `syscall` instruction, in bytes. The instruction pointer of a process stopped in a call is after it. */
const SYSCALL_LENGTH = 2;

type Register = keyof typeof AT;

/** A child that this process traces and stops in a system call: ptrace(2) on x86-64. It is killed when this process exits. */
export class Tracee {
  readonly pid: number;
  readonly #memory: number;
  #registers: Buffer = Buffer.alloc(REGISTERS_SIZE);

  constructor(pid: number) {
    this.pid = pid;
    ptrace("PTRACE_SEIZE", request.PTRACE_SEIZE, pid, 0, request.PTRACE_O_EXITKILL);
    this.#memory = openSync(`/proc/${pid}/mem`, O_RDONLY);
  }

  close(): void {
    closeSync(this.#memory);
  }

  /** Stops it as soon as it waits in a read(2) of `fd`. Returns false if that is not before `deadline`, a time of performance.now(). */
  stopInRead(fd: number, deadline: number): boolean {
    while (performance.now() < deadline) {
      ptrace("PTRACE_INTERRUPT", request.PTRACE_INTERRUPT, this.pid, 0, 0);
      this.#awaitStop();
      this.#registers = this.#read();
      if (this.register("origRax") === BigInt(numbers.read) && this.register("rdi") === BigInt(fd))
        return true;
      ptrace("PTRACE_CONT", request.PTRACE_CONT, this.pid, 0, 0);
      waitAnyReadable([], 1);
    }
    return false;
  }

  /** The value of a register when it was stopped. */
  register(name: Register): bigint {
    return this.#registers.readBigUInt64LE(AT[name]);
  }

  /** Fills `buffer` with memory from `address` on; throws if it is not mapped. */
  read(address: number | bigint, buffer: Uint8Array): void {
    const length = readSync(this.#memory, buffer, 0, buffer.length, Number(address));
    if (length !== buffer.length)
      throw new RuntsError(`warm: the engine's memory at 0x${address.toString(16)} can't be read`);
  }

  words(address: number | bigint, count: number): bigint[] {
    const buffer = Buffer.alloc(count * 8);
    this.read(address, buffer);
    return Array.from({ length: count }, (_, index) => buffer.readBigUInt64LE(index * 8));
  }

  /** An address below its stack, where system calls may write. */
  get scratch(): number {
    return Number((this.register("rsp") - 8192n) & ~63n);
  }

  /** Makes it perform a system call. Returns the result, or a negative errno. */
  call(name: SyscallName | number, ...args: readonly number[]): number {
    const registers = Buffer.from(this.#registers);
    const set = (register: Register, value: bigint) => {
      registers.writeBigUInt64LE(BigInt.asUintN(64, value), AT[register]);
    };
    set("rip", this.register("rip") - BigInt(SYSCALL_LENGTH));
    set("rax", BigInt(typeof name === "number" ? name : numbers[name]));
    // So that the kernel does not restart the call in which it was stopped.
    set("origRax", -1n);
    (["rdi", "rsi", "rdx", "r10"] as const).forEach((register, index) => {
      set(register, BigInt(args[index] ?? 0));
    });
    ptrace("PTRACE_SETREGS", request.PTRACE_SETREGS, this.pid, 0, registers);
    ptrace("PTRACE_SINGLESTEP", request.PTRACE_SINGLESTEP, this.pid, 0, 0);
    this.#awaitStop();
    return Number(BigInt.asIntN(64, this.#read().readBigUInt64LE(AT.rax)));
  }

  /** Its area for restartable sequences, rseq(2); undefined if it has none. */
  rseq(): { readonly address: bigint; readonly size: bigint; readonly signature: bigint } | undefined {
    const buffer = Buffer.alloc(24);
    const result = trySyscall(
      "ptrace",
      request.PTRACE_GET_RSEQ_CONFIGURATION,
      this.pid,
      buffer.length,
      buffer,
    );
    const address = buffer.readBigUInt64LE(0);
    if (result < 0 || address === 0n) return undefined;
    return {
      address,
      size: BigInt(buffer.readUInt32LE(8)),
      signature: BigInt(buffer.readUInt32LE(12)),
    };
  }

  #read(): Buffer {
    const registers = Buffer.alloc(REGISTERS_SIZE);
    ptrace("PTRACE_GETREGS", request.PTRACE_GETREGS, this.pid, 0, registers);
    return registers;
  }

  #awaitStop(): void {
    const status = new Int32Array(1);
    syscall("wait4", [this.pid, new Uint8Array(status.buffer), WALL, null], [String(this.pid)]);
    if (((status[0] ?? 0) & 0xff) !== STOPPED)
      throw new RuntsError("warm: the engine ended while it was being frozen");
  }
}

function ptrace(shown: string, number: number, pid: number, address: number, data: NativeArgument): void {
  syscall("ptrace", [number, pid, address, data], [shown, String(pid)]);
}
