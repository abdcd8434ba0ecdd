export function findBun(): string | undefined;
export function requireBun(): string;
export const compileFlags: readonly string[];
