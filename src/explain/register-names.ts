/** Names of the values in a stub's registers, no two the same. */
export class RegisterNames {
  readonly #names = new Map<number, string>();
  readonly #taken = new Map<string, number>();

  /** Names a register that is written. One that is written again under a condition keeps the first name. */
  write(register: number, name: string, isConditional: boolean): void {
    if (!isConditional || !this.#names.has(register)) this.give(register, name);
  }

  /** Names a register anew. */
  give(register: number, name: string): void {
    const count = (this.#taken.get(name) ?? 0) + 1;
    this.#taken.set(name, count);
    this.#names.set(register, count === 1 ? name : `${name} #${count}`);
  }

  name(register: number): string {
    return this.#names.get(register) ?? `register ${register}`;
  }
}
