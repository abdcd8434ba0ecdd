export function exampleFor(prefix: string, path: string): string;
