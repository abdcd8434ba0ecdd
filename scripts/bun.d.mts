export function findBun(): string | undefined;
export const compileFlags: readonly string[];
