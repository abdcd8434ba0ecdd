import ts from "typescript";
import { type Sources, symbolOf, visitAll } from "./remembered.test-support.ts";

/** Something of a module that may change, and so is remembered until the end of the program. */
export interface State {
  readonly path: string;
  readonly name: string;
  /** How it is known that it may change: for who has to judge it. */
  readonly because: string;
}

/** Methods of built-in objects that change the object. */
const CHANGING =
  /^(set\w*|add|append|push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin|delete|clear|write\w*)$/;
/** Built-in functions that change their first argument. */
const CHANGING_FIRST =
  /^(Object\.(assign|define\w+|setPrototypeOf)|Atomics\.\w+|Reflect\.(set|defineProperty|deleteProperty))$/;
const CHANGEABLE =
  /^(Map|Set|WeakMap|WeakSet|Array|Buffer|(Shared)?ArrayBuffer|DataView|Date|\w+Array|Uint8ClampedArray)$/;
/** Regular expressions keep state only with the flag g or y, which the literal shows. */
const UNCHANGEABLE = /^(Readonly(Map|Set|Array)|RegExp)$/;

/** Finds all module-level state of the files. */
export function stateOf(sources: Sources): State[] {
  const { files, pathOf } = sources;
  const found = new Map<string, State>();
  const add = (node: ts.Node, name: string, because: string): void => {
    const path = pathOf(node.getSourceFile());
    if (!found.has(`${path} ${name}`)) found.set(`${path} ${name}`, { path, name, because });
  };
  const candidates = new Map<ts.Symbol, ts.Node>();
  for (const file of files) {
    for (const statement of file.statements) collect(sources, statement, candidates, add);
    findStatics(sources, file, add);
  }
  for (const file of files) {
    visitAll(file, (node) => {
      if (!ts.isIdentifier(node)) return;
      const symbol = symbolOf(sources.checker, node);
      const declaration = symbol === undefined ? undefined : candidates.get(symbol);
      const change = declaration === undefined ? undefined : changeBy(sources, node);
      if (symbol !== undefined && declaration !== undefined && change !== undefined)
        add(declaration, symbol.getName(), change);
    });
  }
  return [...found.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
}

type Add = (node: ts.Node, name: string, because: string) => void;

/** Adds what a statement declares: to `add` if it is state for certain, to `candidates` if it is state only when something changes it. */
function collect(
  sources: Sources,
  statement: ts.Statement,
  candidates: Map<ts.Symbol, ts.Node>,
  add: Add,
): void {
  const { checker } = sources;
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
    const symbol = statement.name === undefined ? undefined : checker.getSymbolAtLocation(statement.name);
    if (symbol !== undefined) candidates.set(symbol, statement);
    return;
  }
  if (ts.isExpressionStatement(statement)) {
    add(statement, firstLine(statement), "is done while the module is loaded");
    return;
  }
  if (!ts.isVariableStatement(statement) || isAmbient(statement)) return;
  const { declarationList } = statement;
  for (const declaration of declarationList.declarations) {
    const name = declaration.name.getText();
    if ((declarationList.flags & ts.NodeFlags.Const) === 0) add(declaration, name, "is a variable");
    const symbol = checker.getSymbolAtLocation(declaration.name);
    if (symbol !== undefined) candidates.set(symbol, declaration);
    if (declaration.initializer === undefined) continue;
    visitAtImport(declaration.initializer, (node) => {
      const because = calledAtImport(sources, node);
      if (because !== undefined) add(declaration, name, because);
    });
  }
}

function firstLine(node: ts.Node): string {
  return node.getText().split("\n")[0] ?? "";
}

function isAmbient(statement: ts.VariableStatement): boolean {
  return statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword) === true;
}

/** Visits what is evaluated while the module is loaded: not what is in functions. */
function visitAtImport(node: ts.Node, visit: (node: ts.Node) => void): void {
  if (ts.isFunctionLike(node)) return;
  visit(node);
  ts.forEachChild(node, (child) => visitAtImport(child, visit));
}

/** Whether what is evaluated has fields, keeps what it learns of the host, or returns functions that share what they change. */
function calledAtImport(sources: Sources, node: ts.Node): string | undefined {
  const { checker, pathOf } = sources;
  if (ts.isRegularExpressionLiteral(node) && /\/\w*[gy]\w*$/.test(node.text) && !isArgument(node))
    return "is a regular expression that remembers where it was";
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return undefined;
  if (isOwnInstance(sources, checker.getTypeAtLocation(node))) return "is, or has, an object of a class";
  const declaration = checker.getResolvedSignature(node)?.declaration;
  if (declaration === undefined) return undefined;
  const file = declaration.getSourceFile();
  const path = pathOf(file);
  if (/^bindings\/(linux|ffi)\/|^bindings\/stub\/client/.test(path))
    return `is made by ${node.expression.getText()}, of ${path}`;
  if (/\/@types\/node\//.test(file.fileName) && !/buffer/.test(file.fileName))
    return `is made by ${node.expression.getText()}, of Node`;
  return file.isDeclarationFile ? undefined : sharedBy(declaration, checker);
}

function isArgument(node: ts.Node): boolean {
  return ts.isCallExpression(node.parent);
}

/** Whether inner functions of a function change its variables. */
function sharedBy(declaration: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (!ts.isFunctionLike(declaration)) return undefined;
  const own = new Set<ts.Symbol>();
  visitOwn(declaration, (node) => {
    const isDeclaration = ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node);
    const symbol = isDeclaration ? checker.getSymbolAtLocation(node.name) : undefined;
    if (symbol !== undefined) own.add(symbol);
  });
  let shared: string | undefined;
  visitAll(declaration, (node) => {
    if (!ts.isIdentifier(node) || ts.findAncestor(node, ts.isFunctionLike) === declaration) return;
    const symbol = symbolOf(checker, node);
    if (symbol !== undefined && own.has(symbol) && isChanged(topOf(node)))
      shared = `is made by a function whose variable ${node.text} goes on`;
  });
  return shared;
}

/** Visits a function but for the functions in it. */
function visitOwn(node: ts.Node, visit: (node: ts.Node) => void): void {
  ts.forEachChild(node, (child) => {
    if (ts.isFunctionLike(child)) return;
    visit(child);
    visitOwn(child, visit);
  });
}

/** Static properties, wherever a class is. */
function findStatics({ checker }: Sources, file: ts.SourceFile, add: Add): void {
  visitAll(file, (node) => {
    if (ts.isClassStaticBlockDeclaration(node)) add(node, "static", "is done while the module is loaded");
    if (!ts.isPropertyDeclaration(node)) return;
    const flags = ts.getCombinedModifierFlags(node);
    if ((flags & ts.ModifierFlags.Static) === 0) return;
    const isFixed = (flags & ts.ModifierFlags.Readonly) !== 0;
    if (!isFixed || mayChange(checker, checker.getTypeAtLocation(node)))
      add(node, node.name.getText(), "is static");
  });
}

/** How this mention of something may change it; undefined if it doesn't. */
function changeBy(sources: Sources, node: ts.Identifier): string | undefined {
  const { checker } = sources;
  const top = topOf(node);
  if (isDeclared(node)) return undefined;
  const where = `${sources.pathOf(node.getSourceFile())}: ${firstLine(top.parent)}`;
  if (isChanged(top)) return `is changed: ${where}`;
  // A function's or a class's properties are the only thing of it that may change.
  const type = checker.getTypeAtLocation(top);
  if (!mayChange(checker, type) || !isHandedOver(top)) return undefined;
  const taken = takenAs(sources, top);
  return taken === undefined || mayChange(checker, taken) ? `is handed over: ${where}` : undefined;
}

function isDeclared({ parent }: ts.Identifier): boolean {
  return (
    ts.isImportSpecifier(parent) ||
    ts.isExportSpecifier(parent) ||
    ts.isPartOfTypeNode(parent) ||
    ts.isTypeQueryNode(parent)
  );
}

/** All of `table.inner[key]`, for the name that it begins with. */
function topOf(node: ts.Node): ts.Node {
  const { parent } = node;
  const isBase =
    (ts.isPropertyAccessExpression(parent) || ts.isElementAccessExpression(parent)) &&
    (parent.expression === node || (ts.isPropertyAccessExpression(parent) && parent.name === node));
  const isWrapped =
    ts.isParenthesizedExpression(parent) || ts.isAsExpression(parent) || ts.isNonNullExpression(parent);
  return isBase || isWrapped ? topOf(parent) : node;
}

/** An assignment, a method that changes, or a function that does. */
function isChanged(top: ts.Node): boolean {
  const { parent } = top;
  if (ts.isBinaryExpression(parent) && parent.left === top)
    return (
      parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment
    );
  if (ts.isPrefixUnaryExpression(parent) || ts.isPostfixUnaryExpression(parent))
    return (
      parent.operator === ts.SyntaxKind.PlusPlusToken || parent.operator === ts.SyntaxKind.MinusMinusToken
    );
  if (ts.isDeleteExpression(parent)) return true;
  if (!ts.isCallExpression(parent)) return false;
  if (parent.expression === top) return ts.isPropertyAccessExpression(top) && CHANGING.test(top.name.text);
  return parent.arguments[0] === top && CHANGING_FIRST.test(parent.expression.getText());
}

/** Whether somebody else has it from here on. */
function isHandedOver(top: ts.Node): boolean {
  const { parent } = top;
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) return parent.expression !== top;
  if (ts.isConditionalExpression(parent)) return parent.condition !== top;
  if (ts.isBinaryExpression(parent)) return parent.operatorToken.kind >= ts.SyntaxKind.BarBarToken;
  if (ts.isVariableDeclaration(parent)) return parent.initializer === top;
  return (
    ts.isReturnStatement(parent) ||
    ts.isPropertyAssignment(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isShorthandPropertyAssignment(parent) ||
    ts.isArrayLiteralExpression(parent) ||
    ts.isArrowFunction(parent)
  );
}

/** The type that it is from there on; undefined if that is its own. */
function takenAs({ checker }: Sources, top: ts.Node): ts.Type | undefined {
  const { parent } = top;
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
    const declaration = checker.getResolvedSignature(parent)?.declaration;
    // The engine's functions only look at their arguments, but for those that were found already.
    if (declaration === undefined || /\/typescript\/lib\//.test(declaration.getSourceFile().fileName))
      return checker.getUndefinedType();
  }
  return ts.isExpression(top) ? checker.getContextualType(top) : undefined;
}

/** Whether an object of this type can be changed by those who have it. */
function mayChange(checker: ts.TypeChecker, type: ts.Type): boolean {
  if (type.isUnionOrIntersection()) return type.types.some((part) => mayChange(checker, part));
  if ((type.flags & ts.TypeFlags.Object) === 0) return false;
  const name = type.getSymbol()?.getName() ?? "";
  if (UNCHANGEABLE.test(name) || type.aliasSymbol?.getName() === "Readonly") return false;
  if (CHANGEABLE.test(name)) return true;
  if (checker.isTupleType(type))
    return !checker.typeToString(type, undefined, ts.TypeFormatFlags.InTypeAlias).startsWith("readonly ");
  if (type.getCallSignatures().length > 0 || type.getConstructSignatures().length > 0) return false;
  if (checker.getIndexInfosOfType(type).some(({ isReadonly }) => !isReadonly)) return true;
  // `as const` is not seen in what declares a property.
  const { InTypeAlias, NoTruncation } = ts.NodeBuilderFlags;
  const written = checker.typeToTypeNode(type, undefined, InTypeAlias | NoTruncation);
  if (written !== undefined && ts.isTypeLiteralNode(written))
    return written.members.some((member) => ts.isPropertySignature(member) && !isReadonly(member));
  return checker.getPropertiesOfType(type).some((property) => isWritable(property));
}

function isWritable({ flags, declarations = [] }: ts.Symbol): boolean {
  if ((flags & (ts.SymbolFlags.Method | ts.SymbolFlags.Accessor)) !== 0) return false;
  return !declarations.some(isReadonly);
}

function isReadonly(declaration: ts.Declaration): boolean {
  return (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Readonly) !== 0;
}

/** An object of a class of ours, which may have fields that nobody sees. */
function isOwnInstance({ files }: Sources, type: ts.Type): boolean {
  const declaration = type.getSymbol()?.valueDeclaration;
  return (
    declaration !== undefined && ts.isClassLike(declaration) && files.includes(declaration.getSourceFile())
  );
}
