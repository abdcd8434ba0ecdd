import type { Names } from "../names.ts";
import type { VirtualFile } from "./virtual-files.ts";

/** An open file of the simulated kernel. */
export interface OpenFile {
  readonly path: string;
  readonly file: VirtualFile | undefined;
  offset: number;
}

/** The descriptors of one simulation, and the paths of the real descriptors. */
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

  /** Makes a descriptor stand for another file. */
  replace(fd: number, path: string, file: VirtualFile): void {
    this.#open.set(fd, { path, file, offset: 0 });
  }

  /** Returns undefined for a real descriptor. */
  get(fd: number): OpenFile | undefined {
    return this.#open.get(fd);
  }

  /** Remembers the path of a real descriptor. */
  leads(fd: number, path: string): void {
    this.#realPaths.set(fd, path);
  }

  /** Path of a descriptor, real or simulated. */
  pathOf(fd: number): string | undefined {
    return this.#open.get(fd)?.path ?? this.#realPaths.get(fd);
  }

  /** Returns whether it was a simulated descriptor. */
  close(fd: number): boolean {
    this.#realPaths.delete(fd);
    return this.#open.delete(fd);
  }

  /** The simulated descriptors that are open. */
  get descriptors(): number[] {
    return [...this.#open.keys()];
  }
}
