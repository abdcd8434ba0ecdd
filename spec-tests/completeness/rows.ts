/**
 * The tests of each property of config.json: titles of tests that run the built executable, and fail if the property does
 * not do what config.md and config-linux.md ask for. A key is a JSON pointer with `*` for each item or name; it stands for all
 * properties below it that have no key of their own. `pointer=value` is one value of an enumeration. In a title, `{}` stands for the
 * value or for any text, and … at the end for the rest of the title. `properties.test.ts` compares this with the schema, the mount
 * options of `features` and the tests.
 */
export type Coverage = Readonly<Record<string, readonly string[]>>;
