import { join, relative } from "node:path";
import ts from "typescript";

/** Finds what of the process is asked of the engine, which remembers it: by the compiler's knowledge of names and types. */

export const root = join(import.meta.dirname, "..");

export interface Sources {
  readonly checker: ts.TypeChecker;
  readonly files: readonly ts.SourceFile[];
  /** Path from the root of the repository. */
  pathOf(file: ts.SourceFile): string;
}

/** Compiles the files, whose paths are from the root of the repository; texts stand in for files that are not there. */
export function compile(paths: readonly string[], texts: Readonly<Record<string, string>> = {}): Sources {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(
    { ...config, include: [], files: ["none"] },
    ts.sys,
    root,
  );
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  const textOf = (path: string) => texts[relative(root, path)];
  host.fileExists = (path) => textOf(path) !== undefined || fileExists(path);
  host.readFile = (path) => textOf(path) ?? readFile(path);
  const names = paths.map((path) => join(root, path));
  const program = ts.createProgram(names, options, host);
  const own = new Set(names);
  return {
    checker: program.getTypeChecker(),
    files: program.getSourceFiles().filter(({ fileName }) => own.has(fileName)),
    pathOf: ({ fileName }) => relative(root, fileName),
  };
}

export function visitAll(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => visitAll(child, visit));
}

/** Returns the symbol of an identifier; of an imported one, the symbol in the module that declares it. */
export function symbolOf(checker: ts.TypeChecker, node: ts.Node): ts.Symbol | undefined {
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : checker.getSymbolAtLocation(node);
  if (symbol === undefined || (symbol.flags & ts.SymbolFlags.Alias) === 0) return symbol;
  return checker.getAliasedSymbol(symbol);
}

/** A use of something global. */
export interface Use {
  readonly path: string;
  /** For example `process.pid`; or `process` alone, where the source does not show which member is used. */
  readonly name: string;
}

/** Finds uses of these global objects, and of methods with these names. */
export function usesOf(sources: Sources, objects: ReadonlySet<string>, methods: ReadonlySet<string>): Use[] {
  const { checker, files, pathOf } = sources;
  return files.flatMap((file) => {
    const uses: Use[] = [];
    visitAll(file, (node) => {
      if (!ts.isIdentifier(node)) return;
      const { parent, text } = node;
      if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
        if (methods.has(text)) uses.push({ path: pathOf(file), name: `.${text}` });
      } else if (objects.has(text) && isGlobalValue(checker, node)) {
        for (const name of membersTaken(node)) uses.push({ path: pathOf(file), name });
      }
    });
    return uses;
  });
}

/** Neither a variable of the name, nor a property, nor a type. */
function isGlobalValue(checker: ts.TypeChecker, node: ts.Identifier): boolean {
  if (ts.isPartOfTypeNode(node)) return false;
  const declarations = symbolOf(checker, node)?.declarations;
  // globalThis has none.
  if (declarations === undefined) return node.text === "globalThis";
  return declarations.every(
    (declaration) =>
      declaration !== node.parent &&
      (declaration.getSourceFile().isDeclarationFile || isAmbient(declaration)),
  );
}

/** Whether it is declared as ambient, such as `declare const Bun`. */
function isAmbient(declaration: ts.Declaration): boolean {
  return (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Ambient) !== 0;
}

function membersTaken(node: ts.Identifier): string[] {
  const { parent, text } = node;
  if (ts.isPropertyAccessExpression(parent)) return [`${text}.${parent.name.text}`];
  if (ts.isTypeOfExpression(parent)) return [];
  if (!ts.isVariableDeclaration(parent) || !ts.isObjectBindingPattern(parent.name)) return [text];
  return parent.name.elements.map(({ propertyName, name }) => `${text}.${(propertyName ?? name).getText()}`);
}

/** Starts of programs that don't name the environment, which then is the engine's. */
export function startsWithoutEnvironment({ checker, files, pathOf }: Sources): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    visitAll(file, (node) => {
      if (!ts.isCallExpression(node)) return;
      const from = checker.getResolvedSignature(node)?.declaration?.getSourceFile().fileName ?? "";
      const namesIt = node.arguments.some(
        (argument) =>
          ts.isObjectLiteralExpression(argument) &&
          argument.properties.some((property) => property.name?.getText() === "env"),
      );
      if (from.endsWith("/child_process.d.ts") && !namesIt) found.push(`${pathOf(file)}: ${node.getText()}`);
    });
    return found;
  });
}
