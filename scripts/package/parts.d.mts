export function nativeParts(arch: string): { readonly base: string; readonly koffi: string };
