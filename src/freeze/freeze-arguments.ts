/** The arguments that make an engine get ready to be written down. */
export const FREEZE_ARGUMENTS = ["warm", "--freeze"] as const;

export function isFreezing(argv: readonly string[]): boolean {
  return FREEZE_ARGUMENTS.every((word, index) => argv[index] === word);
}
