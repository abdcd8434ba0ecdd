export function debianDepends(files: readonly Buffer[], own: readonly string[]): string;
export function rpmRequires(files: readonly Buffer[], own: readonly string[]): string[];
