/** Stand-ins for the descriptors and pids that the kernel would give out, and their names in the text. */

/**
 * Above any descriptor that a process may have open: fs.nr_open is lower as a rule (proc_sys_fs(5)). They are DISTANCE apart, since
 * close_range(2) takes numbers next to a descriptor.
 */
const FIRST_DESCRIPTOR = 1_000_000_010;
const DISTANCE = 10;
/** Above the largest pid: PID_MAX_LIMIT of the kernel is 2^22. */
const FIRST_PID = 2_000_000_000;

export class Names {
  readonly #descriptors: string[] = [];
  readonly #processes: string[] = [];

  descriptor(name: string): number {
    this.#descriptors.push(name);
    return FIRST_DESCRIPTOR + DISTANCE * (this.#descriptors.length - 1);
  }

  rename(descriptor: number, name: string): void {
    this.#descriptors[(descriptor - FIRST_DESCRIPTOR) / DISTANCE] = name;
  }

  process(name: string): number {
    this.#processes.push(name);
    return FIRST_PID + this.#processes.length - 1;
  }

  processName(pid: number): string | undefined {
    return this.#processes[pid - FIRST_PID];
  }

  isDescriptor(number: number): boolean {
    return number >= FIRST_DESCRIPTOR && number < FIRST_PID;
  }

  /** Replaces the stand-ins in a text by their names in angle brackets. */
  named(text: string): string {
    return text.replace(/\b[12]0{2}\d{7}\b/g, (digits) => this.#name(Number(digits)) ?? digits);
  }

  /** Replaces the pids in a path by the names of their processes. */
  inPath(path: string): string {
    return path.replace(/\b20{2}\d{7}\b/g, (digits) => this.#processes[Number(digits) - FIRST_PID] ?? digits);
  }

  #name(number: number): string | undefined {
    if (number >= FIRST_PID) {
      const process = this.#processes[number - FIRST_PID];
      return process === undefined ? undefined : `<pid of ${process}>`;
    }
    const index = Math.round((number - FIRST_DESCRIPTOR) / DISTANCE);
    const given = this.#descriptors[index];
    if (given === undefined) return undefined;
    const name = this.inPath(given);
    const distance = number - FIRST_DESCRIPTOR - DISTANCE * index;
    if (distance === 0) return `<${name}>`;
    return distance > 0 ? `<${name}> + ${distance}` : `<${name}> - ${-distance}`;
  }
}
