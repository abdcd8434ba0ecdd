export function exampleFor(prefix: string, path: string): string;
export function readText(path: string): string;
