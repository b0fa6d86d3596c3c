import ts from 'typescript';
import { nodesOf, parse, placeOf, roomOf } from './architecture.ts';
import type { Finding, Rule } from './architecture.ts';

/** Files that join constant conditions into a statement, where no constant text would do. The list may only shrink. */
export const JOINED_STATEMENTS: Readonly<Record<string, string>> = {
  'ledger/history.ts': 'a page is filtered by any of five conditions; each is a constant text, and each value a parameter',
  'ledger/lazy.ts': 'hands on what another file of the room prepares, and there each statement is checked',
  'ledger/audit.ts': 'one rule over four columns and two tables, all named by constants in this file',
};

/** Complete statements or their unmistakable heads, so that prose may say "select" and "update". */
const SQL = [
  /\bSELECT\b[\s\S]+\bFROM\b/, /\bINSERT\s+(OR\s+\w+\s+)?INTO\b/, /\bUPDATE\s+\w+\s+SET\b/, /\bDELETE\s+FROM\b/, /\bCREATE\s+(UNIQUE\s+)?(TABLE|INDEX|TRIGGER|VIEW)\b/,
  /\bALTER\s+TABLE\b/, /\bDROP\s+(TABLE|INDEX)\b/, /\bPRAGMA\s+\w+/, /\bBEGIN\s+IMMEDIATE\b/, /^\s*PRAGMA\b/i,
  /^\s*(insert\s+into|delete\s+from|create\s+table|update\s+\w+\s+set)\s/i, /^\s*select\s[\w\s,.*()]+\sfrom\s+\w+(\s+(where|order|limit)\b|\s*;?\s*$)/i,
];

/** A constant of a module, in this file or imported. */
const CONSTANT = /^[A-Z][A-Z0-9_]*$/;

const MEND = 'pass values as parameters (?, @name); a piece put into a statement is a CONSTANT, or of a type that is a union of literals';

/**
 * A statement is made of constants alone: literals, CONSTANTS, parameters whose type is a union of literals, choices and
 * joins of these. What cannot be proved constant in its own file is refused.
 */
export const checkStatements: Rule = (file) => {
  const source = parse(file);
  const findings: Finding[] = [];
  for (const node of nodesOf(source)) {
    if (isStatementSink(node) && !isConstant(node.arguments[0], source)) findings.push({ where: placeOf(source, node), mend: MEND });
    else if (isBuilt(node) && looksLikeSql(textOf(node)) && !isConstant(node, source)) findings.push({ where: placeOf(source, node), mend: MEND });
  }
  return findings;
};

/** SQL is written in the ledger and nowhere else. */
export const checkSqlRoom: Rule = (file) => {
  if (roomOf(file.path) === 'ledger') return [];
  const source = parse(file);
  return nodesOf(source)
    .filter((node) => (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) && looksLikeSql(textOf(node)))
    .map((node) => ({ where: placeOf(source, node), mend: 'only the ledger speaks SQL: ask its door' }));
};

/** `.prepare(…)` and `.exec(…)`, but for a regular expression's. */
function isStatementSink(node: ts.Node): node is ts.CallExpression {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return false;
  const method = node.expression.name.text;
  return method === 'prepare' || (method === 'exec' && !isPattern(node.expression.expression, node.getSourceFile()));
}

/** `exec` belongs to regular expressions too: a literal, or a name declared with one. */
function isPattern(node: ts.Node, source: ts.SourceFile): boolean {
  if (ts.isRegularExpressionLiteral(node)) return true;
  const declared = ts.isIdentifier(node) ? declarationOf(node, source) : undefined;
  return declared !== undefined && ts.isVariableDeclaration(declared) && declared.initializer !== undefined && ts.isRegularExpressionLiteral(declared.initializer);
}

function isBuilt(node: ts.Node): boolean {
  return ts.isTemplateExpression(node) || (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken);
}

function isConstant(node: ts.Node | undefined, source: ts.SourceFile): boolean {
  if (node === undefined || ts.isStringLiteralLike(node) || ts.isNumericLiteral(node)) return true;
  const all = (...nodes: ts.Node[]) => nodes.every((part) => isConstant(part, source));
  if (ts.isTemplateExpression(node)) return all(...node.templateSpans.map((span) => span.expression));
  if (ts.isBinaryExpression(node)) return all(node.left, node.right);
  if (ts.isConditionalExpression(node)) return all(node.whenTrue, node.whenFalse);
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return all(node.expression);
  if (ts.isArrayLiteralExpression(node)) return all(...node.elements);
  if (ts.isElementAccessExpression(node)) return all(node.expression);
  if (ts.isPropertyAccessExpression(node)) return all(node.expression);
  if (ts.isArrowFunction(node)) return true;
  if (ts.isCallExpression(node)) return isConstantCall(node, source);
  return ts.isIdentifier(node) && (CONSTANT.test(node.text) || isConstantName(node, source));
}

/** `LIST.map(…).join(…)` of a constant list, or a function of this file, whose own templates are judged, given constants. */
function isConstantCall(node: ts.CallExpression, source: ts.SourceFile): boolean {
  const callee = node.expression;
  const hasConstantArguments = node.arguments.every((argument) => isConstant(argument, source));
  if (ts.isPropertyAccessExpression(callee)) return /^(map|join)$/.test(callee.name.text) && hasConstantArguments && isConstant(callee.expression, source);
  return ts.isIdentifier(callee) && declarationOf(callee, source) !== undefined && hasConstantArguments;
}

function isConstantName(node: ts.Identifier, source: ts.SourceFile): boolean {
  const declared = declarationOf(node, source);
  if (declared === undefined) return false;
  if (ts.isParameter(declared)) {
    // A callback's parameter is constant where the list it walks is.
    const call = declared.parent.parent;
    const list = ts.isCallExpression(call) && ts.isPropertyAccessExpression(call.expression) ? call.expression.expression : undefined;
    return declared.type === undefined ? list !== undefined && isConstant(list, source) : isUnionOfLiterals(declared.type);
  }
  if (!ts.isVariableDeclaration(declared)) return false;
  const isConst = ts.isVariableDeclarationList(declared.parent) && (declared.parent.flags & ts.NodeFlags.Const) !== 0;
  const loop = declared.parent.parent;
  if (isConst && ts.isForOfStatement(loop)) return isConstant(loop.expression, source);
  return isConst && declared.initializer !== undefined && !ts.isObjectBindingPattern(declared.name) && isConstant(declared.initializer, source);
}

function isUnionOfLiterals(type: ts.TypeNode): boolean {
  return ts.isUnionTypeNode(type) ? type.types.every(isUnionOfLiterals) : ts.isLiteralTypeNode(type);
}

/** The nearest declaration of a name, looking from its use outward. */
function declarationOf(node: ts.Identifier, source: ts.SourceFile): ts.Node | undefined {
  const named = nodesOf(source).filter((other) =>
    (ts.isVariableDeclaration(other) || ts.isParameter(other) || ts.isFunctionDeclaration(other)) && other.name?.getText(source) === node.text);
  for (let scope: ts.Node = node; ; scope = scope.parent) {
    const found = named.find((declared) => scopeOf(declared) === scope);
    if (found !== undefined) return found;
    if (scope === source) return undefined;
  }
}

function scopeOf(declared: ts.Node): ts.Node {
  if (ts.isParameter(declared)) return declared.parent;
  for (let scope = declared.parent; ; scope = scope.parent) {
    if (ts.isBlock(scope) || ts.isSourceFile(scope) || ts.isForOfStatement(scope) || ts.isForStatement(scope)) return scope;
  }
}

function looksLikeSql(text: string): boolean {
  return SQL.some((pattern) => pattern.test(text));
}

/** The fixed parts of a text, `x` where an expression stands. */
function textOf(node: ts.Node): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) return [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join('x');
  if (ts.isBinaryExpression(node)) return textOf(node.left) + textOf(node.right);
  return 'x';
}
