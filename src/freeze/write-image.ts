import { PROT_WRITE } from "../../bindings/abi/mman.ts";
import { PR_GET_TID_ADDRESS } from "../../bindings/abi/prctl.ts";
import { readdirSync } from "../../bindings/linux/directories.ts";
import { readFileSync, readlinkSync } from "../../bindings/linux/files.ts";
import { basename, dirname } from "../../bindings/linux/paths.ts";
import { OWN_DESCRIPTORS } from "./engine-process.ts";
import { HUGE_PAGE } from "./huge-pages.ts";
import {
  encodeHead,
  HEAD_SPACE,
  type ImageHead,
  type LoopDescriptor,
  type MappedFile,
  type Sealed,
  type Segment,
  type SignalAction,
  type ThreadState,
} from "./image.ts";
import { bootId, fileIdentity, processorWords } from "./machine.ts";
import { type Mapping, PAGE, privatePages, readMappings, residentPages } from "./memory-map.ts";
import type { Tracee } from "./tracee.ts";

/**
 * Runs of pages with at most this many other pages in between are joined: another mmap(2) at each start costs as much as a few unneeded
 * pages.
 */
const LARGEST_GAP = 8;

/** A huge page is hot if this many of its pages are mapped. The kernel maps sixteen per page fault, so there were four faults. */
const HOT_PAGES = 64;

/** Writes at an offset of the image. */
export type WriteAt = (bytes: Uint8Array, offset: number) => void;

/** Makes the page cache hold a part of the image in huge pages. Returns whether it worked. */
export type CacheHuge = (offset: number, length: number) => boolean;

/**
 * Writes the image of a stopped engine. `modified` is the modification time that the file will get, in seconds since 1970. `stackSize` is
 * the limit of its stack, in bytes. Returns the size of the image, in bytes. Throws if the engine has something that an image can't
 * contain, such as another thread.
 */
export function writeImage(
  tracee: Tracee,
  modified: number,
  stackSize: number,
  write: WriteAt,
  cache: CacheHuge,
): { readonly size: number } {
  const { pid } = tracee;
  if (readdirSync(`/proc/${pid}/task`).length !== 1) throw new Error("the engine has more than one thread");
  const mappings = readMappings(pid);
  const vdso = mappings.find(({ name }) => name === "[vdso]");
  const memory = new MemoryWriter(tracee, vdso, write);
  for (const mapping of mappings) memory.add(mapping, stackSize);
  memory.addHotCode(cache);
  memory.checkHeap();
  const words = memory.vdsoWords();
  const head: ImageHead = {
    imageSize: memory.end,
    modified,
    bootId: bootId(),
    processor: processorWords(pid),
    vdso: BigInt(vdso?.start ?? 0),
    registers: {
      rbx: tracee.register("rbx"),
      rbp: tracee.register("rbp"),
      r12: tracee.register("r12"),
      r13: tracee.register("r13"),
      r14: tracee.register("r14"),
      r15: tracee.register("r15"),
      rsp: tracee.register("rsp"),
      rip: tracee.register("rip"),
      fsBase: tracee.register("fsBase"),
    },
    buffer: [tracee.register("rsi"), tracee.register("rdx")],
    thread: threadState(tracee),
    files: memory.files,
    segments: memory.segments,
    descriptors: loopDescriptors(pid),
    signals: signalActions(tracee),
    ...words,
  };
  write(encodeHead(head), 0);
  return { size: memory.end };
}

/** Writes pages one after the other, and records how they are mapped. */
class MemoryWriter {
  readonly files: MappedFile[] = [];
  readonly segments: Segment[] = [];
  /** Offset of the next page in the image. */
  end = HEAD_SPACE;
  readonly #tracee: Tracee;
  readonly #vdso: Mapping | undefined;
  readonly #directory: string;
  readonly #write: WriteAt;
  readonly #vdsoWords: number[] = [];
  readonly #hotCode: { readonly address: number; readonly protection: number }[] = [];
  #isInLibc = false;
  #heapEnd = 0;
  #heapEndWords = 0;

  constructor(tracee: Tracee, vdso: Mapping | undefined, write: WriteAt) {
    this.#tracee = tracee;
    this.#vdso = vdso;
    this.#directory = dirname(readlinkSync(`/proc/${tracee.pid}/exe`));
    this.#write = write;
  }

  add(mapping: Mapping, stackSize: number): void {
    const { name, start, end, protection } = mapping;
    if (name === "[vsyscall]" || name === "[vdso]" || name.startsWith("[vvar")) return;
    if (name === "[heap]") this.#heapEnd = end;
    // The .bss of libc is anonymous memory after its other mappings.
    this.#isInLibc = LIBC.test(name) || (this.#isInLibc && name === "");
    if (mapping.shared) throw new Error(`${name} is mapped shared`);
    const first = name === "[stack]" ? end - stackSize : start;
    const source = name.startsWith("/") ? this.#file(mapping) : "anonymous";
    this.#addSegment({
      address: Math.min(first, start),
      length: end - Math.min(first, start),
      offset: source === "anonymous" ? 0 : mapping.offset,
      protection,
      source,
    });
    let run: { from: number; to: number } | undefined;
    const flush = () => {
      if (run !== undefined) this.#copy(run.from, run.to, protection);
    };
    for (const page of privatePages(this.#tracee.pid, mapping)) {
      if (source === "anonymous" && this.#isZero(page)) continue;
      if (run !== undefined && page - run.to <= LARGEST_GAP * PAGE) run.to = page + PAGE;
      else {
        flush();
        run = { from: page, to: page + PAGE };
      }
    }
    flush();
    if (source !== "anonymous" && (protection & PROT_WRITE) === 0) this.#findHotCode(mapping);
  }

  /** Finds the huge pages of code that commands use. */
  #findHotCode(mapping: Mapping): void {
    const { start, end, protection } = mapping;
    const counts = new Map<number, number>();
    for (const page of residentPages(this.#tracee.pid, mapping)) {
      const chunk = Math.floor(page / HUGE_PAGE) * HUGE_PAGE;
      counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
    }
    for (const [address, count] of counts)
      if (count >= HOT_PAGES && address >= start && address + HUGE_PAGE <= end)
        this.#hotCode.push({ address, protection });
  }

  /**
   * Copies hot code to aligned offsets of the image, from where it can be mapped by huge pages, unlike from the engine's file. If the file
   * system does not support that, the engine's file is mapped.
   */
  addHotCode(cache: CacheHuge): void {
    const first = Math.ceil(this.end / HUGE_PAGE) * HUGE_PAGE;
    const bytes = Buffer.alloc(HUGE_PAGE);
    this.#hotCode.forEach(({ address }, index) => {
      this.#tracee.read(address, bytes);
      this.#write(bytes, first + index * HUGE_PAGE);
    });
    const length = this.#hotCode.length * HUGE_PAGE;
    if (length === 0 || !cache(first, length)) return;
    this.#hotCode.forEach(({ address, protection }, index) => {
      this.#addSegment({
        address,
        length: HUGE_PAGE,
        offset: first + index * HUGE_PAGE,
        protection,
        source: "image",
      });
    });
    this.end = first + length;
  }

  /** Joins a segment with the previous one if they are contiguous and of the same kind. */
  #addSegment(segment: Segment): void {
    const last = this.segments.at(-1);
    const follows =
      last !== undefined &&
      last.address + last.length === segment.address &&
      last.protection === segment.protection &&
      last.source === segment.source &&
      (segment.source === "anonymous" || last.offset + last.length === segment.offset);
    if (!follows) this.segments.push(segment);
    else this.segments[this.segments.length - 1] = { ...last, length: last.length + segment.length };
  }

  #file({ name }: Mapping): number {
    const path = dirname(name) === this.#directory ? basename(name) : name;
    const known = this.files.findIndex((file) => file.path === path);
    if (known >= 0) return known;
    this.files.push({ path, identity: fileIdentity(name) });
    return this.files.length - 1;
  }

  #isZero(address: number): boolean {
    const page = Buffer.alloc(PAGE);
    this.#tracee.read(address, page);
    return page.equals(ZEROS);
  }

  #copy(from: number, to: number, protection: number): void {
    const length = to - from;
    const bytes = Buffer.alloc(PAGE);
    for (let address = from; address < to; address += PAGE) {
      this.#tracee.read(address, bytes);
      if (bytes.equals(ZEROS)) continue; // a hole
      this.#collectVdsoWords(address, bytes);
      if (this.#isInLibc) this.#closeHeap(bytes);
      this.#write(bytes, this.end + address - from);
    }
    this.segments.push({ address: from, length, offset: this.end, protection, source: "image" });
    this.end += length;
  }

  /**
   * The C library remembers the end of its brk(2) heap, as it was in the engine. In a later process it would ask for more from there on, and
   * would take the kernel's answer, the end of that process's own heap, for success if that is a higher address. With an end that is
   * beyond all addresses, brk(2) always fails, and the library allocates by mmap(2).
   */
  #closeHeap(bytes: Buffer): void {
    for (let at = 0; at < PAGE; at += 8) {
      if (bytes.readBigUInt64LE(at) !== BigInt(this.#heapEnd)) continue;
      bytes.writeBigUInt64LE(BEYOND_ALL_ADDRESSES, at);
      this.#heapEndWords += 1;
    }
  }

  /** Throws unless exactly one word with the heap's end was found in the C library. */
  checkHeap(): void {
    if (this.#heapEnd !== 0 && this.#heapEndWords !== 1)
      throw new Error(`the C library has ${this.#heapEndWords} words for the end of its heap`);
  }

  #collectVdsoWords(address: number, bytes: Buffer): void {
    if (this.#vdso === undefined) return;
    const { start, end } = this.#vdso;
    // Tests the upper half first, which is cheap.
    const [first, last] = [Math.floor(start / 2 ** 32), Math.floor((end - 1) / 2 ** 32)];
    for (let at = 0; at < PAGE; at += 8) {
      const upper = bytes.readUInt32LE(at + 4);
      if (upper !== first && upper !== last) continue;
      const word = upper * 2 ** 32 + bytes.readUInt32LE(at);
      if (word >= start && word < end) this.#vdsoWords.push(address + at);
    }
  }

  /** Addresses of words that point into the vdso. Read-only segments that contain one become writable until it is adjusted. */
  vdsoWords(): Pick<ImageHead, "vdsoWords" | "sealed"> {
    const vdsoWords = this.#vdsoWords;
    const sealed: Sealed[] = [];
    this.segments.forEach((segment, index) => {
      const { address, length, protection, source } = segment;
      if (source !== "image" || (protection & PROT_WRITE) !== 0) return;
      if (!vdsoWords.some((word) => word >= address && word < address + length)) return;
      sealed.push({ address, length, protection });
      this.segments[index] = { ...segment, protection: protection | PROT_WRITE };
    });
    return { vdsoWords, sealed };
  }
}

const LIBC = /\/libc\.so\.6$/;
const BEYOND_ALL_ADDRESSES = 1n << 62n;

const ZEROS = Buffer.alloc(PAGE);

function threadState(tracee: Tracee): ThreadState {
  const { scratch } = tracee;
  const ask = (what: string, result: number) => {
    if (result < 0) throw new Error(`${what} of the engine is not known: errno ${-result}`);
  };
  ask("the address of the thread's id", tracee.call("prctl", PR_GET_TID_ADDRESS, scratch));
  const [tid = 0n] = tracee.words(scratch, 1);
  const GET_ROBUST_LIST = 274;
  ask("the robust list", tracee.call(GET_ROBUST_LIST, 0, scratch, scratch + 8));
  const [robustList = 0n, robustListSize = 0n] = tracee.words(scratch, 2);
  const SIGALTSTACK = 131;
  ask("the signal stack", tracee.call(SIGALTSTACK, 0, scratch));
  const [stack = 0n, flags = 0n, size = 0n] = tracee.words(scratch, 3);
  const rseq = tracee.rseq();
  return {
    tid,
    robustList,
    robustListSize,
    rseq: rseq?.address ?? 0n,
    rseqSize: rseq?.size ?? 0n,
    rseqSignature: rseq?.signature ?? 0n,
    signalStack: [stack, flags, size],
  };
}

/** The actions of all signals that the engine handles or ignores. */
function signalActions(tracee: Tracee): SignalAction[] {
  const LAST_SIGNAL = 64;
  const { scratch } = tracee;
  const actions: SignalAction[] = [];
  for (let signal = 1; signal <= LAST_SIGNAL; signal++) {
    if (tracee.call("rt_sigaction", signal, 0, scratch, 8) < 0) continue;
    const words = tracee.words(scratch, 4);
    if (words[0] !== 0n) actions.push({ signal, words });
  }
  return actions;
}

/** The engine's descriptors. Throws for any that does not belong to its event loop. */
function loopDescriptors(pid: number): LoopDescriptor[] {
  const entries: LoopDescriptor[] = [];
  const made: LoopDescriptor[] = [];
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const fd = Number(name);
    // Lower ones only reserve the numbers of a later process's caller.
    if (fd < OWN_DESCRIPTORS) continue;
    const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
    if (target === "anon_inode:[eventfd]") made.push({ kind: "eventfd", fd });
    else if (target === "anon_inode:[eventpoll]") {
      made.push({ kind: "epoll", fd });
      entries.push(...epollEntries(pid, fd));
    } else throw new Error(`the engine has ${target} open as ${fd}`);
  }
  return [...made, ...entries];
}

/** The entries of an epoll descriptor: proc_pid_fdinfo(5). */
function epollEntries(pid: number, fd: number): LoopDescriptor[] {
  const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
  const matches = text.matchAll(/^tfd: *(\d+) events: *([0-9a-f]+) data: *([0-9a-f]+)/gm);
  return [...matches].map(([, target, events, data]) => ({
    kind: "entry",
    fd,
    target: Number(target),
    events: Number.parseInt(events ?? "", 16),
    data: BigInt(`0x${data}`),
  }));
}
