import ts from 'typescript';
import { nodesOf, parse, placeOf, roomOf } from './architecture.ts';
import type { Finding, Rule } from './architecture.ts';
import { checkSqlRoom, checkStatements, JOINED_STATEMENTS } from './sql-rules.ts';

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

  'a SQL statement is made of constants': (file, rooms) => (file.path in JOINED_STATEMENTS ? [] : checkStatements(file, rooms)),
  'SQL stands only in the ledger': checkSqlRoom,

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
