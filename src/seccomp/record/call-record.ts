/**
 * The system calls that processes have made, by architecture (SCMP_ARCH_*) and number, with the values of the watched arguments. A
 * container decides what it calls, so all of it is bounded by whoever adds to it: a number is below NUMBERS.
 */
export class CallRecord {
  readonly #numbers = new Map<number, Set<number>>();
  readonly #values = new Map<number, Set<bigint>>();
  #hasLostValues = false;
  #hasOtherNumbers = false;

  /** Notes a call. */
  add(arch: number, number: number): void {
    if (number < 0 || number >= NUMBERS) {
      this.noteOtherNumber();
      return;
    }
    const numbers = this.#numbers.get(arch);
    if (numbers === undefined) this.#numbers.set(arch, new Set([number]));
    else numbers.add(number);
  }

  /** Notes the value of the watched argument of a call of the native architecture. */
  addValue(number: number, value: bigint): void {
    const values = this.#values.get(number);
    if (values === undefined) this.#values.set(number, new Set([value]));
    else if (values.size < VALUES_OF_A_CALL) values.add(value);
  }

  /** Notes a call with a number that no system call has. */
  noteOtherNumber(): void {
    this.#hasOtherNumbers = true;
  }

  /** Notes that there were values that could not be noted. */
  loseValues(): void {
    this.#hasLostValues = true;
  }

  /** Whether a program has run: whoever executes one makes one more call at least, to exit. */
  get hasRun(): boolean {
    let count = 0;
    for (const numbers of this.#numbers.values()) count += numbers.size;
    return count > 1;
  }

  get architectures(): readonly number[] {
    return [...this.#numbers.keys()];
  }

  numbersOf(arch: number): readonly number[] {
    return [...(this.#numbers.get(arch) ?? [])];
  }

  /** Values of a call's watched argument; undefined if not all of them are known. */
  valuesOf(number: number): readonly bigint[] | undefined {
    return this.#hasLostValues ? undefined : [...(this.#values.get(number) ?? [])];
  }

  /** Whether there were calls with numbers that no system call has. */
  get hasOtherNumbers(): boolean {
    return this.#hasOtherNumbers;
  }
}

/** Above all numbers of system calls, without the bit of x32: the highest is 469 with Linux 6.18. */
export const NUMBERS = 1024;

/** More than a profile takes (MAX_VALUES), so that it can tell that there were more. */
const VALUES_OF_A_CALL = 64;
