/** What the registers of a stub hold, as names: no two the same. */
export class RegisterNames {
  readonly #names = new Map<number, string>();
  readonly #taken = new Map<string, number>();

  /** The register gets a new value. One that is written again, under a condition, keeps its name. */
  write(register: number, name: string): void {
    if (!this.#names.has(register)) this.give(register, name);
  }

  give(register: number, name: string): void {
    const count = (this.#taken.get(name) ?? 0) + 1;
    this.#taken.set(name, count);
    this.#names.set(register, count === 1 ? name : `${name} #${count}`);
  }

  name(register: number): string {
    return this.#names.get(register) ?? `register ${register}`;
  }
}
