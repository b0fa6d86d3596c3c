import ts from 'typescript';
import { nodesOf, parse, placeOf, roomOf } from './architecture.ts';
import type { Finding, Rule } from './architecture.ts';

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;

/** Files that may be longer, each with its reason. The list may only shrink. */
export const LONGER_FILES: Readonly<Record<string, string>> = {};

/** A thread's entry has to work at import: nobody calls it. */
const ENTRIES = ['ledger/worker.ts'];

/** What a pure room cannot know. The types are gone there too; this catches what `es2022` still has. */
const IMPURE = [
  'Buffer', 'Date', 'TextDecoder', 'TextEncoder', 'URL', 'URLSearchParams', 'console', 'crypto', 'fetch', 'globalThis', 'performance', 'process',
  'queueMicrotask', 'require', 'setImmediate', 'setInterval', 'setTimeout',
];

/** Complete statements or their unmistakable heads, so that prose may say "select" and "update". */
const SQL = [
  /\bSELECT\b[\s\S]+\bFROM\b/, /\bINSERT\s+(OR\s+\w+\s+)?INTO\b/, /\bUPDATE\s+\w+\s+SET\b/, /\bDELETE\s+FROM\b/, /\bCREATE\s+(UNIQUE\s+)?(TABLE|INDEX|TRIGGER|VIEW)\b/,
  /\bALTER\s+TABLE\b/, /\bDROP\s+(TABLE|INDEX)\b/, /\bPRAGMA\s+\w+/, /\bBEGIN\s+IMMEDIATE\b/, /^\s*PRAGMA\b/i,
  /^\s*(insert\s+into|delete\s+from|create\s+table|update\s+\w+\s+set)\s/i, /^\s*select\s[\w\s,.*()]+\sfrom\s+\w+(\s+(where|order|limit)\b|\s*;?\s*$)/i,
];

type Visit = (node: ts.Node, source: ts.SourceFile, path: string) => string | undefined;

/** A rule that looks at one node at a time and returns the mend where it objects. */
function perNode(visit: Visit): Rule {
  return (file) => {
    const source = parse(file);
    const findings: Finding[] = [];
    for (const node of nodesOf(source)) {
      const mend = visit(node, source, file.path);
      if (mend !== undefined) findings.push({ where: placeOf(source, node), mend });
    }
    return findings;
  };
}

/** What every file under src obeys, by the name of the rule. */
export const RULES: Readonly<Record<string, Rule>> = {
  'a file has at most 300 lines': (file) => {
    const lines = file.text.replace(/\n$/, '').split('\n').length;
    if (lines <= FILE_LINES_MAX || file.path in LONGER_FILES) return [];
    return [{ where: `src/${file.path}`, mend: `${lines} lines: find the second idea in it and give it a file` }];
  },

  'a function has at most 70 lines': perNode((node, source) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined;
    const line = (position: number) => source.getLineAndCharacterOfPosition(position).line;
    const lines = line(node.end) - line(node.getStart(source)) + 1;
    return lines <= FUNCTION_LINES_MAX ? undefined : `${lines} lines: keep the flow here and move what it decides into functions`;
  }),

  'floor 0 knows no clock, dice, process or Node': (file, rooms) => {
    const isPure = rooms.find((room) => room.name === roomOf(file.path))?.floor === 0;
    if (!isPure) return [];
    return perNode((node) => {
      if (isMember(node, 'Math', 'random')) return 'Math.random is a die: take the number as an argument';
      if (!ts.isIdentifier(node) || !IMPURE.includes(node.text) || isOnlyAName(node)) return undefined;
      return `${node.text} does not exist on floor 0: take its value as an argument`;
    })(file, rooms);
  },

  'no SQL is put together from strings': perNode((node, source) => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) && /^(prepare|exec)$/.test(node.expression.name.text)) {
      const [sql] = node.arguments;
      if (sql !== undefined && !isPattern(node.expression.expression, source) && isPutTogether(sql, source)) return 'pass values as parameters (?, @name) to a constant statement; a list of statements beats a built one';
    }
    const isBuilt = ts.isTemplateExpression(node) || (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken);
    if (isBuilt && looksLikeSql(textOf(node))) return 'write the statement as one constant text, its values as parameters';
    return undefined;
  }),

  'SQL stands only in the ledger': perNode((node, _source, path) => {
    if (roomOf(path) === 'ledger' || !(ts.isStringLiteralLike(node) || ts.isTemplateExpression(node))) return undefined;
    return looksLikeSql(textOf(node)) ? 'only the ledger speaks SQL: ask its door' : undefined;
  }),

  'no code from text, no float from text': perNode((node) => {
    if (ts.isIdentifier(node) && !isOnlyAName(node)) {
      if (node.text === 'eval') return 'no eval: write the code';
      if (node.text === 'parseFloat') return 'money is never a float: parseUsd, parsePrice or Number of a checked text';
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && ts.isIdentifier(node.expression) && node.expression.text === 'Function') return 'no new Function: write the code';
    return isMember(node, 'Number', 'parseFloat') ? 'money is never a float: parseUsd, parsePrice or Number of a checked text' : undefined;
  }),

  'types are not talked round': (file, rooms) => {
    const findings = perNode((node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) return 'no any: unknown, and one reader function at the boundary';
      if (ts.isAsExpression(node) && ts.isAsExpression(node.expression) && node.expression.type.kind === ts.SyntaxKind.UnknownKeyword) return 'no "as unknown as": read the value field by field';
      return undefined;
    })(file, rooms);
    return [...findings, ...inText(file, /@ts-(ignore|expect-error|nocheck)/, 'mend the type instead of silencing it')];
  },

  'no error is swallowed': perNode((node, source) => {
    if (ts.isCatchClause(node) && node.block.statements.length === 0) return 'handle the error, or let it pass on to the edge';
    if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression) || node.expression.name.text !== 'catch') return undefined;
    const [handler] = node.arguments;
    if (handler === undefined || !(ts.isArrowFunction(handler) || ts.isFunctionExpression(handler)) || !ts.isBlock(handler.body)) return undefined;
    const isBare = handler.body.statements.length === 0 && !/\/[/*]/.test(handler.body.getText(source));
    return isBare ? 'handle the error, or say between the braces where it is handled' : undefined;
  }),

  'names are exported, never a default': perNode((node) => {
    const isDefault = ts.isExportAssignment(node)
      || (ts.isExportSpecifier(node) && node.name.text === 'default')
      || (node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent));
    return isDefault ? 'export it by its name' : undefined;
  }),

  'importing a module does nothing': (file) => {
    if (ENTRIES.includes(file.path)) return [];
    const source = parse(file);
    const findings: Finding[] = [];
    for (const statement of source.statements) {
      const mend = workAtImport(statement);
      if (mend !== undefined) findings.push({ where: placeOf(source, statement), mend });
    }
    return findings;
  },

  'what is left to do is not left in a comment': (file) => inText(file, /\b(TODO|FIXME|XXX)\b/, 'do it, or say in the docs that it is missing'),
};

/** Exceptions that nothing needs any more: the file is short now, or gone. */
export function staleExceptions(lineCounts: ReadonlyMap<string, number>, exceptions = LONGER_FILES): string[] {
  return Object.keys(exceptions).filter((path) => (lineCounts.get(path) ?? 0) <= FILE_LINES_MAX);
}

function workAtImport(statement: ts.Statement): string | undefined {
  if (ts.isVariableStatement(statement)) {
    if ((statement.declarationList.flags & ts.NodeFlags.BlockScoped) !== ts.NodeFlags.Const) return 'no state of a module: keep it in what a function returns';
    const isState = statement.declarationList.declarations.some(({ initializer: value }) =>
      value !== undefined && ts.isNewExpression(value) && ts.isIdentifier(value.expression) && /^(Weak)?(Map|Set)$/.test(value.expression.text) && (value.arguments?.length ?? 0) === 0);
    return isState ? 'an empty Map or Set at the top is state of the module: keep it in what a function returns' : undefined;
  }
  const isDeclaration = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) || ts.isExportAssignment(statement) || ts.isFunctionDeclaration(statement)
    || ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  return isDeclaration ? undefined : 'nothing works at import: put it into a function that daemon or cli calls';
}

function inText(file: { readonly path: string; readonly text: string }, pattern: RegExp, mend: string): Finding[] {
  const findings: Finding[] = [];
  for (const [index, line] of file.text.split('\n').entries()) {
    if (pattern.test(line)) findings.push({ where: `src/${file.path}:${index + 1}`, mend });
  }
  return findings;
}

/** A text with an expression inside; a name is followed to its declaration in the same file. */
function isPutTogether(node: ts.Node, source: ts.SourceFile): boolean {
  if (ts.isTemplateExpression(node)) return true;
  if (ts.isBinaryExpression(node)) return node.operatorToken.kind === ts.SyntaxKind.PlusToken || isPutTogether(node.left, source) || isPutTogether(node.right, source);
  if (ts.isConditionalExpression(node)) return isPutTogether(node.whenTrue, source) || isPutTogether(node.whenFalse, source);
  if (ts.isParenthesizedExpression(node)) return isPutTogether(node.expression, source);
  if (ts.isCallExpression(node)) return ts.isPropertyAccessExpression(node.expression) && /^(join|concat|replace|replaceAll)$/.test(node.expression.name.text);
  if (!ts.isIdentifier(node)) return false;
  for (const declared of nodesOf(source)) {
    if (ts.isVariableDeclaration(declared) && declared.name.getText(source) === node.text && declared.initializer !== undefined) {
      return !ts.isIdentifier(declared.initializer) && isPutTogether(declared.initializer, source);
    }
  }
  return false;
}

/** `exec` belongs to regular expressions too: a literal, or a name declared with one. */
function isPattern(node: ts.Node, source: ts.SourceFile): boolean {
  if (ts.isRegularExpressionLiteral(node)) return true;
  if (!ts.isIdentifier(node)) return false;
  const declared = [...nodesOf(source)].find((other) => ts.isVariableDeclaration(other) && other.name.getText(source) === node.text);
  return declared !== undefined && ts.isVariableDeclaration(declared) && declared.initializer !== undefined && ts.isRegularExpressionLiteral(declared.initializer);
}

function looksLikeSql(text: string): boolean {
  return SQL.some((pattern) => pattern.test(text));
}

/** The fixed parts of a text, `…` where an expression stands. */
function textOf(node: ts.Node): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) return [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join('x');
  if (ts.isBinaryExpression(node)) return textOf(node.left) + textOf(node.right);
  return 'x';
}

function isMember(node: ts.Node, object: string, member: string): boolean {
  return ts.isPropertyAccessExpression(node) && node.name.text === member && ts.isIdentifier(node.expression) && node.expression.text === object;
}

/** A field's, parameter's or import's name is no use of the global of that name. */
function isOnlyAName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isShorthandPropertyAssignment(parent)) return false;
  return 'name' in parent && parent.name === node;
}
