/** The arguments of an engine that shall warm up and be frozen. */
export const FREEZE_ARGUMENTS = ["warm", "--freeze"] as const;

export function isFreezing(argv: readonly string[]): boolean {
  return FREEZE_ARGUMENTS.every((word, index) => argv[index] === word);
}
