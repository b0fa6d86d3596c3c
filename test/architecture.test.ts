import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { checkCycles, checkDoor, checkPackages, checkRoomImports, checkTable, readTable } from './support/architecture.ts';
import type { Finding, Room, Rule, SourceText } from './support/architecture.ts';
import { checkStatements, JOINED_STATEMENTS } from './support/sql-rules.ts';
import { LONGER_FILES, RULES, staleExceptions } from './support/source-rules.ts';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
const rooms = readTable(readFileSync(join(SRC, 'README.md'), 'utf8'));
const files: SourceText[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => ({ path, text: readFileSync(join(SRC, path), 'utf8') }));
const ALL_RULES: Readonly<Record<string, Rule>> = { 'rooms import upward, by the door': checkRoomImports, 'a package has one owner': checkPackages, ...RULES };

const told = (findings: readonly Finding[]) => findings.map(({ where, mend }) => `${where}: ${mend}`);
const says = (t: Test, findings: readonly Finding[], name: string) => t.same(told(findings), [], name);

t.test('the room table tells the whole truth', async (t) => {
  const entries = readdirSync(SRC).filter((name) => !['README.md', 'TOUR.md', 'tsconfig.pure.json'].includes(name));
  says(t, checkTable(rooms, entries.map((name) => name.replace(/\.tsx?$/, ''))), 'every room has a row and every row a room');
  for (const room of rooms) {
    const index = files.find(({ path }) => path === `${room.name}.ts` || path === `${room.name}/index.ts`);
    says(t, checkDoor(room, index), `the door of ${room.name} opens`);
  }
});

t.test('the house obeys its rules', async (t) => {
  for (const [name, rule] of Object.entries(ALL_RULES)) says(t, files.flatMap((file) => rule(file, rooms)), name);
  says(t, checkCycles(files), 'no file imports itself in a circle');
  const lineCounts = new Map(files.map(({ path, text }) => [path, text.split('\n').length]));
  t.same(staleExceptions(lineCounts), [], 'the list of longer files only shrinks: drop what is short now');
  const joined = files.filter((file) => checkStatements(file, rooms).length > 0).map(({ path }) => path);
  t.same(Object.keys(JOINED_STATEMENTS).filter((path) => !joined.includes(path)), [], 'so does the list of joined statements');
  for (const [path, reason] of Object.entries({ ...LONGER_FILES, ...JOINED_STATEMENTS })) t.match(reason, /\w+ \w+ \w+/, `${path} is an exception for a reason`);
});

/** A small house for the snippets below: the checker must object in it, or it checks nothing anywhere. */
const HOUSE = readTable(`
| floor | room | purpose | door | owns |
| --- | --- | --- | --- | --- |
| 0 | \`faults\` | refusals | \`Fault\` | |
| 0 | \`money\` | dollars | \`charge\` | |
| 1 | \`ledger\` | books | \`openLedger\` | \`better-sqlite3\`, \`node:worker_threads\` |
| 1 | \`upstream\` | sends | \`send\` | \`undici\` |
| 3 | \`cli\` | commands | \`main\` | \`commander\` |
`);

const long = (lines: number) => 'x();\n'.repeat(lines);

/** rule, path under src, text, why it is wrong */
const bad: readonly (readonly [string, string, string, string])[] = [
  ['rooms import upward, by the door', 'money/a.ts', `import { x } from '../ledger/index.ts'`, 'down the table'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import { x } from '../upstream/index.ts'`, 'down the table within one floor'],
  ['rooms import upward, by the door', 'money/a.ts', `import type { X } from '../ledger/index.ts'`, 'a type from below is a dependency too'],
  ['rooms import upward, by the door', 'money/a.ts', `export { x } from '../ledger/index.ts'`, 're-exported from below'],
  ['rooms import upward, by the door', 'money/a.ts', `const x = await import('../cli/index.ts')`, 'lazily from below'],
  ['rooms import upward, by the door', 'money/a.ts', `type X = import('../cli/index.ts').X`, 'by an import type from below'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import { x } from '../money/charge.ts'`, 'through the window'],
  ['rooms import upward, by the door', 'ledger/deep/a.ts', `import { x } from '../../money/charge.ts'`, 'through the window, from a folder'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import { x } from '../attic/index.ts'`, 'a room without a row'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import { x } from './index.ts'`, 'its own door'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import x from '../../package.json'`, 'out of src'],
  ['rooms import upward, by the door', 'ledger/a.ts', `import { x } from './b'`, 'no ending'],
  ['a package has one owner', 'upstream/a.ts', `import Database from 'better-sqlite3'`, 'the ledger owns it'],
  ['a package has one owner', 'cli/a.ts', `import type { Pool } from 'undici'`, 'a type of a package spreads it as well'],
  ['a package has one owner', 'cli/a.ts', `import { Worker } from 'node:worker_threads'`, 'an owned built-in'],
  ['a package has one owner', 'cli/a.ts', `import left from 'left-pad'`, 'nobody owns it'],
  ['a package has one owner', 'cli/a.ts', `import fs from 'fs'`, 'a built-in without node:'],
  ['a package has one owner', 'money/a.ts', `import { join } from 'node:path'`, 'floor 0 has no built-ins'],
  ['a package has one owner', 'cli/a.ts', `import { spawn } from 'node:child_process'`, 'no programs are started'],
  ['a package has one owner', 'cli/a.ts', `await import(name)`, 'a computed name hides its owner'],
  ['a package has one owner', 'cli/a.ts', `const x = require('undici')`, 'the old way round'],
  ['a package has one owner', 'upstream/a.ts', `const { Pool } = await import('undici')`, 'undefined once bundled'],
  ['a file has at most 300 lines', 'cli/a.ts', long(301), '301 lines'],
  ['a function has at most 70 lines', 'cli/a.ts', `function f() {\n${long(69)}}`, '71 lines'],
  ['a function has at most 70 lines', 'cli/a.ts', `const f = () => {\n${long(69)}};`, 'an arrow'],
  ['a function has at most 70 lines', 'cli/a.ts', `class A { m() {\n${long(69)}} }`, 'a method'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', 'const now = () => Date.now()', 'a clock'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', 'const now = () => new Date()', 'a clock'],
  ['floor 0 knows no clock, dice, process or Node', 'faults.ts', 'const die = () => Math.random()', 'a die, in a room of one file'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', 'const home = () => process.env.HOME', 'the process'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', 'const later = (f: () => void) => setTimeout(f, 1)', 'a timer'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', `const b = () => Buffer.from('')`, 'Node'],
  ['floor 0 knows no clock, dice, process or Node', 'money/a.ts', `const log = () => console.log(1)`, 'Node'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'db.prepare(`SELECT * FROM t WHERE id = ${id}`)', 'an injection'],
  ['a SQL statement is made of constants', 'ledger/a.ts', `db.prepare('DELETE FROM t WHERE id = ' + id)`, 'an injection'],
  ['a SQL statement is made of constants', 'ledger/a.ts', `db.exec('PRAGMA x = ' + id)`, 'an injection'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'const where = `a = ${id}`; db.prepare(where)', 'by way of a name'],
  ['a SQL statement is made of constants', 'ledger/a.ts', `db.prepare(parts.join(' '))`, 'by way of a list'],
  ['a SQL statement is made of constants', 'ledger/a.ts', `db.prepare(all ? 'SELECT 1' : 'SELECT ' + id)`, 'by way of a choice'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'export const sql = (id: string) => `UPDATE t SET a = ${id}`', 'on its way to another file'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'function f(table: string) { return `DELETE FROM ${table}` }', 'a name of any kind'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'function f(db: Db) { let w = "a"; return db.prepare(`SELECT a FROM t WHERE ${w}`) }', 'a name that can change'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'const f = (ids: string[]) => `SELECT a FROM t WHERE id IN (${ids.map((id) => id).join()})`', 'a list of values'],
  ['a SQL statement is made of constants', 'ledger/a.ts', 'const f = (m: Map<string, string>) => db.prepare(m.get("x"))', 'a statement from a table of any kind'],
  ['SQL stands only in the ledger', 'cli/a.ts', `const q = 'SELECT id FROM account'`, 'a query'],
  ['SQL stands only in the ledger', 'cli/a.ts', 'const q = `INSERT INTO t VALUES (1)`', 'a write'],
  ['SQL stands only in the ledger', 'cli/a.ts', `const q = 'update account set balance = 0'`, 'in small letters'],
  ['SQL stands only in the ledger', 'cli/a.ts', `const q = 'pragma journal_mode'`, 'a pragma'],
  ['no code from text, no float from text', 'cli/a.ts', `eval('1')`, 'code from text'],
  ['no code from text, no float from text', 'cli/a.ts', `new Function('return 1')()`, 'code from text'],
  ['no code from text, no float from text', 'cli/a.ts', `const x = parseFloat('0.1')`, 'a float from text'],
  ['no code from text, no float from text', 'cli/a.ts', `const x = Number.parseFloat('0.1')`, 'a float from text'],
  ['types are not talked round', 'cli/a.ts', 'const x = (y: any) => y', 'any'],
  ['types are not talked round', 'cli/a.ts', 'const x = y as unknown as string', 'a double cast'],
  ['types are not talked round', 'cli/a.ts', '// @ts-ignore\nx()', 'silenced'],
  ['no error is swallowed', 'cli/a.ts', 'try { x() } catch {}', 'a bare catch'],
  ['no error is swallowed', 'cli/a.ts', 'try { x() } catch (error) { /* fine */ }', 'a comment handles nothing'],
  ['no error is swallowed', 'cli/a.ts', 'x().catch(() => {})', 'a bare handler'],
  ['names are exported, never a default', 'cli/a.ts', 'export default 1', 'a value'],
  ['names are exported, never a default', 'cli/a.ts', 'export default function f() {}', 'a function'],
  ['names are exported, never a default', 'cli/a.ts', 'const x = 1; export { x as default }', 'by another name'],
  ['importing a module does nothing', 'cli/a.ts', 'start()', 'a call'],
  ['importing a module does nothing', 'cli/a.ts', 'let count = 0', 'state'],
  ['importing a module does nothing', 'cli/a.ts', 'const seen = new Map<string, number>()', 'state in disguise'],
  ['importing a module does nothing', 'cli/a.ts', 'if (x) { y() }', 'a condition'],
  ['what is left to do is not left in a comment', 'cli/a.ts', '// TODO: later', 'left over'],
];

t.test('each rule objects to what it forbids', async (t) => {
  for (const [rule, path, text, why] of bad) {
    const findings = ALL_RULES[rule]?.({ path, text }, HOUSE) ?? [];
    t.ok(findings.length > 0, `${rule}: ${why}`);
    for (const { where, mend } of findings) t.ok(where.startsWith(`src/${path}`) && mend.length > 10, 'it names the place and the mend');
  }
  t.same(Object.keys(ALL_RULES).filter((name) => !bad.some(([rule]) => rule === name)), [], 'no rule goes unproved');
});

/** path, text, why it is right; every rule must let it pass */
const good: readonly (readonly [string, string, string])[] = [
  ['ledger/a.ts', `import { charge } from '../money/index.ts'\nimport { Fault } from '../faults.ts'\nimport { b } from './b.ts'`, 'upward, by the door, and within the room'],
  ['cli/deep/a.ts', `import { send } from '../../upstream/index.ts'`, 'from a folder of the room'],
  ['ledger/a.ts', `import Database from 'better-sqlite3'\nimport { join } from 'node:path'`, 'its own package and a free built-in'],
  ['ledger/a.ts', `const load = () => import('better-sqlite3')`, 'a native package may be lazy'],
  ['cli/a.ts', `const load = () => import('./screen.tsx')\nconst open = () => import('../ledger/index.ts')`, 'lazy files and rooms'],
  ['ledger/a.ts', 'const S = `SELECT a\nFROM t WHERE id = ?`\nconst f = (db: Db) => db.prepare(S)', 'a constant statement'],
  ['ledger/a.ts', `const f = (db: Db, all: boolean) => db.prepare(all ? 'SELECT 1 FROM t' : 'SELECT 2 FROM t')`, 'a choice of two constants'],
  ['ledger/a.ts', 'const f = (db: Db) => db.prepare(`SELECT ${COLUMNS} FROM t WHERE ${GROUP["day"]} = ?`)', 'constant columns'],
  ['ledger/a.ts', "const f = (db: Db) => db.prepare(`SELECT ${NAMES.map((name) => `sum(${name})`).join(', ')} FROM t`)", 'a constant list'],
  ['ledger/a.ts', "const f = (table: 'a' | 'b') => `DELETE FROM ${table}`\nconst g = (db: Db) => db.exec(f('a'))", 'one of two tables'],
  ['ledger/a.ts', "const f = (db: Db) => { for (const step of MIGRATIONS) db.exec(step) }", 'constant statements in a row'],
  ['cli/a.ts', `const f = (text: string) => /a/.exec(text)`, 'a regular expression'],
  ['cli/a.ts', "const LINE = /a/\nconst f = (a: string) => { const text = a.replace('b', 'c'); return LINE.exec(text) }", 'a regular expression by its name'],
  ['cli/a.ts', `const text = 'Select a model from the list, then update your settings.'`, 'prose'],
  ['cli/a.ts', `const f = (n: number) => 'a' + n`, 'a text that is no SQL'],
  ['money/a.ts', 'export interface A { readonly process: string; readonly Date: string }\nconst f = (a: A) => a.process', 'field names'],
  ['money/a.ts', 'const f = (x: number) => Math.max(x, 1)', 'arithmetic'],
  ['cli/a.ts', 'const now = () => Date.now()', 'higher floors have a clock'],
  ['cli/a.ts', `function f() {\n${long(68)}}`, 'exactly 70 lines'],
  ['cli/a.ts', `function f() {\n${long(30)}}\n`.repeat(9) + 'const x = 1;\n'.repeat(12), 'exactly 300 lines'],
  ['cli/a.ts', 'const f = () => { try { x() } catch (error) { throw new Error("no", { cause: error }) } }', 'an error handled'],
  ['cli/a.ts', 'const f = () => x().catch(() => { /* send() already told the caller */ })', 'an error handled elsewhere, and said so'],
  ['cli/a.ts', 'const f = (k: string) => { switch (k) { default: return 1 } }', 'the default of a switch'],
  ['cli/a.ts', `const NAMES = new Set(['a'])\nconst PATTERN = /x/`, 'constants'],
  ['ledger/worker.ts', 'listen()', 'the entry of a thread'],
];

t.test('no rule objects to what is right', async (t) => {
  for (const [path, text, why] of good) {
    for (const [name, rule] of Object.entries(ALL_RULES)) says(t, rule({ path, text }, HOUSE), `${why} (${name})`);
  }
});

t.test('the table checks object as well', async (t) => {
  const names = HOUSE.map((room) => room.name);
  const room = (over: Partial<Room>): Room => ({ floor: 3, name: 'new', door: [], owns: [], ...over });
  says(t, checkTable(HOUSE, names), 'a table that is right');
  t.match(told(checkTable(HOUSE, [...names, 'attic'])), [/attic: give it a row/], 'a room without a row');
  t.match(told(checkTable(HOUSE, names.slice(1))), [/faults: nothing under src/], 'a row without a room');
  t.match(told(checkTable([...HOUSE, room({ name: 'cli' })], names)), [/two rows/], 'a room with two rows');
  t.match(told(checkTable([...HOUSE, room({ floor: 0 })], [...names, 'new'])), [/only rise/], 'a floor out of order');
  t.match(told(checkTable([...HOUSE, room({ owns: ['undici'] })], [...names, 'new'])), [/already belongs to upstream/], 'two owners');
  t.throws(() => readTable('# no table'), /no table/, 'a table that is gone is an error, not an empty house');
  t.throws(() => readTable('| floor | room | purpose | door | owns |\n| --- |\n| 0 | `a` |'), /five cells/, 'a broken row');

  const index = (text: string) => ({ path: 'new/index.ts', text });
  const door = room({ door: ['a', 'B'] });
  says(t, checkDoor(door, index(`export { a } from './a.ts'\nexport type { B } from './b.ts'`)), 'a door that opens');
  says(t, checkDoor(door, index('export function a() {}\nexport interface B {}')), 'a door of one file');
  t.match(told(checkDoor(door, index(`export { x as a } from './a.ts'`))), [/export B/], 'a name that is missing');
  t.match(told(checkDoor(room({}), index(`export * from './a.ts'`))), [/instead of export \*/], 'a door without a list');
  t.match(told(checkDoor(door, undefined)), [/write its index/], 'no door at all');

  const circle = [{ path: 'a/x.ts', text: `import { y } from './y.ts'` }, { path: 'a/y.ts', text: `import { x } from './x.ts'` }];
  t.match(told(checkCycles(circle)), [/break the circle a\/x.ts → a\/y.ts → a\/x.ts/], 'a circle');
  says(t, checkCycles([circle[0]!, { path: 'a/y.ts', text: `import type { x } from './x.ts'` }]), 'a circle of types is none');
  t.same(staleExceptions(new Map([['a.ts', 300], ['b.ts', 301]]), { 'a.ts': '', 'b.ts': '', 'c.ts': '' }), ['a.ts', 'c.ts'], 'exceptions that nothing needs');
});
