/** Reads what ELF files of 64 bits need from libraries: elf(5). */

const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const DT_NEEDED = 1n;

function sectionsOf(file) {
  const sections = [];
  const at = Number(file.readBigUInt64LE(40));
  for (let i = 0; i < file.readUInt16LE(60); i++) {
    const header = at + i * file.readUInt16LE(58);
    const type = file.readUInt32LE(header + 4);
    const offset = Number(file.readBigUInt64LE(header + 24));
    const size = Number(file.readBigUInt64LE(header + 32));
    sections.push({ type, offset, size, link: file.readUInt32LE(header + 40) });
  }
  return sections;
}

function textAt(file, strings, offset) {
  const start = strings.offset + offset;
  return file.toString("latin1", start, file.indexOf(0, start));
}

/** The undefined symbols of a file's dynamic symbol table. */
export function undefinedSymbols(file) {
  const sections = sectionsOf(file);
  const symbols = sections.find(({ type }) => type === SHT_DYNSYM);
  if (symbols === undefined) return [];
  const names = [];
  for (let symbol = symbols.offset; symbol < symbols.offset + symbols.size; symbol += 24)
    if (file.readUInt16LE(symbol + 6) === 0)
      names.push(textAt(file, sections[symbols.link], file.readUInt32LE(symbol)));
  return names;
}

/** The libraries that a file names as needed (DT_NEEDED). */
export function neededLibraries(file) {
  const sections = sectionsOf(file);
  const dynamic = sections.find(({ type }) => type === SHT_DYNAMIC);
  if (dynamic === undefined) return [];
  const names = [];
  for (let entry = dynamic.offset; entry < dynamic.offset + dynamic.size; entry += 16)
    if (file.readBigUInt64LE(entry) === DT_NEEDED)
      names.push(textAt(file, sections[dynamic.link], Number(file.readBigUInt64LE(entry + 8))));
  return names;
}

/** The versions of symbols that a file needs, such as GLIBC_2.17, with the library of each. */
export function neededVersions(file) {
  const sections = sectionsOf(file);
  const table = sections.find(({ type }) => type === SHT_GNU_VERNEED);
  if (table === undefined) return [];
  const strings = sections[table.link];
  const versions = [];
  for (let need = table.offset, next = 1; next !== 0; need += next) {
    const library = textAt(file, strings, file.readUInt32LE(need + 4));
    let one = need + file.readUInt32LE(need + 8);
    for (let count = file.readUInt16LE(need + 2); count > 0; count--) {
      versions.push({ library, version: textAt(file, strings, file.readUInt32LE(one + 8)) });
      one += file.readUInt32LE(one + 12);
    }
    next = file.readUInt32LE(need + 12);
  }
  return versions;
}
