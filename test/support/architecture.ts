import ts from 'typescript';

/** One row of the room table in src/README.md. */
export interface Room {
  readonly floor: number;
  readonly name: string;
  /** Names that the room's `index.ts` must export. */
  readonly door: readonly string[];
  /** Packages and built-ins that no other room may import. */
  readonly owns: readonly string[];
}

/** One file under src, its path relative to it: `money/charge.ts`. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
}

/** What is wrong, where, and the mend. */
export interface Finding {
  readonly where: string;
  readonly mend: string;
}

export type Rule = (file: SourceText, rooms: readonly Room[]) => Finding[];

/** These load native addons, stay outside the bundle, and so may be imported lazily by name. */
const NATIVE = ['better-sqlite3', 'keytar'];

/**
 * Reads the room table: the rows of the Markdown table whose head starts with `| floor | room |`.
 * @throws Error where the table is gone or a row has another number of cells, for then nothing would be checked.
 */
export function readTable(markdown: string): Room[] {
  const lines = markdown.split('\n');
  const head = lines.findIndex((line) => /^\| floor \| room \| purpose \| door \| owns \|$/.test(line));
  if (head === -1) throw new Error('src/README.md has no table with the head "| floor | room | purpose | door | owns |"');
  const rows: Room[] = [];
  for (const line of lines.slice(head + 2)) {
    if (!line.startsWith('|')) break;
    const cells = line.split('|').slice(1, -1);
    const [floor, room, , door, owns] = cells;
    if (cells.length !== 5 || floor === undefined || room === undefined) throw new Error(`this row has not five cells: ${line}`);
    rows.push({ floor: Number(floor.trim()), name: quoted(room)[0] ?? '', door: quoted(door ?? ''), owns: quoted(owns ?? '') });
  }
  return rows;
}

/** What the table itself gets wrong, given the names that lie directly under src (folders, and files without their ending). */
export function checkTable(rooms: readonly Room[], entries: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const say = (where: string, mend: string) => findings.push({ where, mend });
  const names = rooms.map((room) => room.name);
  for (const entry of entries) {
    if (!names.includes(entry)) say(`src/${entry}`, 'give it a row in the room table of src/README.md, or move it into a room');
  }
  for (const [index, room] of rooms.entries()) {
    const where = `row ${room.name}`;
    if (!entries.includes(room.name)) say(where, `nothing under src has this name: write the room or drop the row`);
    if (names.indexOf(room.name) !== index) say(where, 'the room has two rows: drop one');
    if (!Number.isInteger(room.floor) || room.floor < (rooms[index - 1]?.floor ?? 0)) say(where, 'floors are whole numbers and only rise: move the row');
    for (const name of room.owns) {
      const other = rooms.find((candidate, at) => at < index && candidate.owns.includes(name));
      if (other !== undefined) say(where, `${name} already belongs to ${other.name}: one owner only`);
    }
  }
  return findings;
}

/** Names of a room's door that its index does not export. `text` is undefined where there is no index. */
export function checkDoor(room: Room, index: SourceText | undefined): Finding[] {
  if (index === undefined) return [{ where: `src/${room.name}`, mend: 'write its index.ts: a room is entered only there' }];
  const exported = exportedNames(index);
  const findings = room.door
    .filter((name) => !exported.includes(name))
    .map((name) => ({ where: `src/${index.path}`, mend: `export ${name}, or correct the door in src/README.md` }));
  if (exported.includes('*')) findings.push({ where: `src/${index.path}`, mend: 'name what leaves the room instead of export *' });
  return findings;
}

/** Imports between rooms go upward in the table and through the door. */
export const checkRoomImports: Rule = (file, rooms) => {
  const findings: Finding[] = [];
  const home = roomOf(file.path);
  const names = rooms.map((room) => room.name);
  for (const found of importsOf(file)) {
    if (!found.target.startsWith('.')) continue;
    const path = resolve(file.path, found.target);
    const say = (mend: string) => findings.push({ where: found.where, mend });
    if (path === undefined) say(`${found.target} lies outside src: read data through settings, keep code in src`);
    else if (!/\.tsx?$/.test(path)) say(`write the file's ending: ${found.target}.ts`);
    else {
      const room = roomOf(path);
      const isDoor = path === `${room}.ts` || path === `${room}/index.ts`;
      if (room === home && isDoor) say('a room does not enter itself by its own door: import the file that has the name');
      if (room === home) continue;
      if (!names.includes(room)) say(`${room} has no row in src/README.md`);
      else if (names.indexOf(room) > names.indexOf(home)) say(`${home} may import only rooms above it in src/README.md, and ${room} is below: pass it in as an argument`);
      if (!isDoor) say(`enter ${room} by its index.ts`);
    }
  }
  return findings;
};

/** A package belongs to one room; a built-in too, if the table says so; floor 0 has neither. */
export const checkPackages: Rule = (file, rooms) => {
  const findings: Finding[] = [];
  const home = roomOf(file.path);
  const floor = rooms.find((room) => room.name === home)?.floor ?? 0;
  for (const found of importsOf(file)) {
    if (found.target.startsWith('.')) continue;
    const say = (mend: string) => findings.push({ where: found.where, mend });
    const name = packageOf(found.target);
    const owner = rooms.find((room) => room.owns.includes(name) || room.owns.includes(found.target));
    if (name === 'node:child_process') say('findtoken starts no programs: do it in the process');
    else if (floor === 0) say(`floor 0 is pure: take what ${name} gives as an argument`);
    else if (owner !== undefined && owner.name !== home) say(`${name} belongs to ${owner.name}: use its door`);
    else if (owner === undefined && !name.startsWith('node:')) say(`${name} has no owner: name one in src/README.md (a built-in is written with node:)`);
    // The bundle gives a lazily imported CommonJS package a default export only, while Node gives it names.
    if (found.isLazy && !name.startsWith('node:') && !NATIVE.includes(name)) {
      say(`import lazily a file of your own that imports ${name}: in the bundle await import('${name}') has no named exports`);
    }
  }
  return findings;
};

/** The file that stands in a circle of value imports, if one does. Type imports vanish and may point anywhere. */
export function checkCycles(files: readonly SourceText[]): Finding[] {
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = importsOf(file).filter((found) => !found.isType && !found.isLazy && found.target.startsWith('.'));
    edges.set(file.path, targets.flatMap((found) => resolve(file.path, found.target) ?? []));
  }
  const done = new Set<string>();
  const findings: Finding[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      findings.push({ where: `src/${path}`, mend: `break the circle ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}: move what both need into a third file` });
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const file of files) walk(file.path, []);
  return findings;
}

/** Every rule reads every file: one tree each is enough. */
const TREES = new WeakMap<SourceText, ts.SourceFile>();
const NODES = new WeakMap<ts.SourceFile, readonly ts.Node[]>();

/** The syntax tree with parents set, `.tsx` or not. */
export function parse(file: SourceText): ts.SourceFile {
  const known = TREES.get(file);
  if (known !== undefined) return known;
  const kind = file.path.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true, kind);
  TREES.set(file, source);
  return source;
}

/** Every node of a tree, parents before children. */
export function nodesOf(source: ts.SourceFile): readonly ts.Node[] {
  const known = NODES.get(source);
  if (known !== undefined) return known;
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  NODES.set(source, nodes);
  return nodes;
}

/** `src/money/charge.ts:12` */
export function placeOf(source: ts.SourceFile, node: ts.Node): string {
  return `src/${source.fileName}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`;
}

/** `money/charge.ts` is of room money; `faults.ts` is its own room. */
export function roomOf(path: string): string {
  return (path.split('/')[0] ?? '').replace(/\.tsx?$/, '');
}

interface Import {
  readonly target: string;
  readonly where: string;
  readonly isLazy: boolean;
  readonly isType: boolean;
}

function importsOf(file: SourceText): Import[] {
  const source = parse(file);
  const imports: Import[] = [];
  for (const node of nodesOf(source)) {
    const add = (target: ts.Node | undefined, isLazy: boolean, isType: boolean) => {
      const where = placeOf(source, node);
      if (target !== undefined && ts.isStringLiteralLike(target)) imports.push({ target: target.text, where, isLazy, isType });
      // Read as a package that nobody can own, so that it is refused.
      else if (target !== undefined) imports.push({ target: `(computed) ${target.getText(source)}`, where, isLazy, isType });
    };
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, false, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, false, node.isTypeOnly);
    else if (ts.isImportTypeNode(node)) add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument, false, true);
    else if (ts.isCallExpression(node) && isLoader(node.expression)) add(node.arguments[0], true, false);
  }
  return imports;
}

function isLoader(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require');
}

function exportedNames(file: SourceText): string[] {
  const names: string[] = [];
  for (const statement of parse(file).statements) {
    if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause;
      if (clause === undefined) names.push('*');
      else if (ts.isNamedExports(clause)) names.push(...clause.elements.map((element) => element.name.text));
      else names.push(clause.name.text);
    } else if (ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some((word) => word.kind === ts.SyntaxKind.ExportKeyword) === true) {
      if (ts.isVariableStatement(statement)) names.push(...statement.declarationList.declarations.map((declared) => declared.name.getText()));
      else if ('name' in statement && statement.name !== undefined) names.push((statement.name as ts.Identifier).text);
    }
  }
  return names;
}

/** `node:fs/promises` → `node:fs`, `react/jsx-runtime` → `react`, `@a/b/c` → `@a/b`. */
function packageOf(target: string): string {
  return target.split('/').slice(0, target.startsWith('@') ? 2 : 1).join('/');
}

/** The path under src that a relative import means, or undefined where it leaves src. */
function resolve(from: string, target: string): string | undefined {
  const parts = from.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return undefined;
    } else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}
