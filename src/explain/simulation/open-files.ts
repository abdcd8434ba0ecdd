import type { Names } from "../names.ts";
import type { VirtualFile } from "./virtual-files.ts";

/** An open file that only a simulated kernel knows of. */
export interface OpenFile {
  readonly path: string;
  readonly file: VirtualFile | undefined;
  offset: number;
}

/** The descriptors of one simulation, and where those lead that the kernel below it has given out. */
export class OpenFiles {
  readonly #names: Names;
  readonly #open = new Map<number, OpenFile>();
  readonly #realPaths = new Map<number, string>();

  constructor(names: Names) {
    this.#names = names;
  }

  add(name: string, file: VirtualFile | undefined, path = ""): number {
    const fd = this.#names.descriptor(name);
    this.#open.set(fd, { path, file, offset: 0 });
    return fd;
  }

  /** Has a descriptor stand for something else than before. */
  replace(fd: number, path: string, file: VirtualFile): void {
    this.#open.set(fd, { path, file, offset: 0 });
  }

  /** undefined for a real descriptor. */
  get(fd: number): OpenFile | undefined {
    return this.#open.get(fd);
  }

  /** Remembers where a real descriptor leads. */
  leads(fd: number, path: string): void {
    this.#realPaths.set(fd, path);
  }

  /** Of a descriptor, real or not. */
  pathOf(fd: number): string | undefined {
    return this.#open.get(fd)?.path ?? this.#realPaths.get(fd);
  }

  /** Whether it was one of the simulation's own. */
  close(fd: number): boolean {
    this.#realPaths.delete(fd);
    return this.#open.delete(fd);
  }

  /** The descriptors that are the simulation's own. */
  get descriptors(): number[] {
    return [...this.#open.keys()];
  }
}
